-- Lets a suspended user sign in again, and sets the marker of a revocation of all their sessions.
-- So no session from before is revived, and sign-ins that began before are refused.
--
-- KEYS  1 suspension of the user  2 revocation marker of the user
--       3 list of the suspended users of the bucket  4 log
-- ARGV  1 not after (ms)  2 code of the reason for which sessions end  3 ms to store the marker
--       4 note for sessions that the marker ends  5 user  6 note on the change  7 size of the log
-- Reply LISTED with 1; GONE if the user is not suspended; NEWER, LATE
--
-- The first write is a DEL or a ZREM, so all writes are allowed when memory is full.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local before = suspension(KEYS[1])
if before == nil then
  -- The suspension was lost, and the user may still be listed.
  redis.call('ZREM', KEYS[3], ARGV[5])
  return {GONE, now}
end
if not before or not revoke_up_to(KEYS[2], now, NO_SESSION, ARGV[2], ARGV[4], ARGV[3]) then
  return {NEWER, now}
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[5])
note(KEYS[4], ARGV[7], '', ARGV[5], ARGV[6])
return {LISTED, now, 1}
