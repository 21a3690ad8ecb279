-- Moves the last activity of a live session to now.
--
-- KEYS  1 the session
-- ARGV  none
-- Reply DONE, GONE, NEWER
--
-- PEXPIREAT is the first write: it is allowed when memory is full, and after it SETRANGE, which does not
-- make the value longer, is too.

local now = clock()
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
session.last = math.max(session.last, now)
redis.call('PEXPIREAT', KEYS[1], due(session))
redis.call('SETRANGE', KEYS[1], 20, string.format('%011x', session.last))
return done(session, now)
