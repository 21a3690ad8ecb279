-- Ends a session, whatever its revision.
--
-- KEYS  1 the session
-- ARGV  1 code of the reason  2 ms to remember it
-- Reply DONE, GONE, NEWER

local now = clock()
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
bury(KEYS[1], ARGV[1], ARGV[2])
return done(session, now)
