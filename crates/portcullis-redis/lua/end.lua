-- Ends a session, whatever its revision.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
-- ARGV  1 letter of the reason  2 ms to remember it, or 0  3 ref  4 user, or ''  5 note  6 size of the log
-- Reply DONE, GONE, NEWER, MOVED (it was moved to another key, perhaps of another bucket: end it there)
--
-- MOVED changes nothing. It is told of the mark `-r` with a key behind it (src/record.rs), and of no other.

local now = clock()
local session, refusal, found = live(KEYS[1], now)
if not session then
  if found and #found == 39 and string.sub(found, 1, 2) == '-r' then
    return {MOVED, now, string.sub(found, 15)}
  end
  if found == '' and ARGV[4] ~= '' then
    -- What somebody has removed by hand takes up no room in the list of its user.
    redis.call('ZREM', KEYS[4], ARGV[3])
  end
  return refusal
end
finish(KEYS[1], ARGV[3], ARGV[1], ARGV[2])
unlist(KEYS[2], KEYS[4], session, ARGV[3], ARGV[4], now)
note(KEYS[3], ARGV[6], ARGV[3], ARGV[4], ARGV[5])
return done(session, now)
