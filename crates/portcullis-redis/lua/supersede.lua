-- Ends a live session in favour of one that was just made in another bucket, if nobody wrote to it since
-- the expected revision. The second half of a move between buckets.
--
-- KEYS  1 the session
-- ARGV  1 expected revision  2 code of the end  3 ms to remember it
--       4 the key of the new one as the mark under the old one spells it
-- Reply DONE, CONFLICT, GONE, NEWER
--
-- Sent once more after its answer was lost it says GONE, and the caller takes the new session back: the
-- person signs in again, and no session is left that nobody knows of.

local now = clock()
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
if session.revision ~= ARGV[1] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
bury(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
return done(session, now)
