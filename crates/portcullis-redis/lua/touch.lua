-- Moves the last activity of a live session to now, and the last privileged activity.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 revocation marker of the user  6 suspension of the user
-- ARGV  1 not after (ms)  2 entry  3 user, or ''  4 when they authenticated (ms), or ''
--       5 ms to remember a revocation  6 size of the log  7 kind of activity
--       8 another idle timeout (ms), or ''
-- Reply DONE, GONE, NEWER, LATE
--
-- PEXPIREAT is the first write: it is allowed when memory is full, and so are the later writes.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
local entry, user = ARGV[2], ARGV[3]
local ended = end_if_forbidden(KEYS[6], KEYS[5], ARGV[4], KEYS[1], KEYS[2], KEYS[4], KEYS[3], ARGV[6], session, entry, user, ARGV[5], now)
if ended then
  return ended
end
-- Only activity makes an idle timeout longer.
local idle = tonumber(ARGV[8])
if idle and (ARGV[7] ~= '0' or idle < session.idle) then
  session.idle = idle
end
act(session, ARGV[7], now)
redis.call('PEXPIREAT', KEYS[1], due(session))
redis.call('SETRANGE', KEYS[1], 12, string.format('%09x%011x%011x', session.idle, session.last, session.privileged))
list(KEYS[2], KEYS[4], session, entry, user)
return done(session, now)
