-- Ends a live session in favour of one that was just made in another bucket, if nobody wrote to it since
-- the expected revision. The second half of a move between buckets.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
-- ARGV  1 expected revision  2 letter of the end  3 ms to remember it
--       4 the key of the new one as the mark under the old one spells it, or ''
--       5 ref  6 user, or ''  7 note on its end, or ''  8 size of the log
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
finish(KEYS[1], ARGV[5], ARGV[2], ARGV[3], ARGV[4])
unlist(KEYS[2], KEYS[4], session, ARGV[5], ARGV[6], now)
if ARGV[7] ~= '' then
  note(KEYS[3], ARGV[8], ARGV[5], ARGV[6], ARGV[7])
end
return done(session, now)
