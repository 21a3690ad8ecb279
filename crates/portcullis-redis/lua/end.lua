-- Ends a session, whatever its revision.
--
-- KEYS  1 the session
-- ARGV  1 code of the reason  2 ms to remember it
-- Reply DONE, GONE, NEWER, MOVED (it was moved to another key, perhaps of another bucket: end it there)
--
-- MOVED changes nothing. It is told of the mark `-r` with a key behind it (src/record.rs), and of no other.

local now = clock()
local session, refusal, found = live(KEYS[1], now)
if not session then
  if found and #found == 27 and string.sub(found, 1, 2) == '-r' then
    return {MOVED, now, string.sub(found, 3)}
  end
  return refusal
end
bury(KEYS[1], ARGV[1], ARGV[2])
return done(session, now)
