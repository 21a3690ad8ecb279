-- Suspends a user, sets the marker of a revocation of all their sessions, and lists the sessions.
-- From this moment on, no session of the user is created, moved, written or touched.
--
-- KEYS  1 list of the user  2 revocation marker of the user  3 suspension of the user
--       4 list of the suspended users of the bucket  5 log
-- ARGV  1 not after (ms)  2 code of the reason for which sessions end  3 ms to store the marker
--       4 note for sessions that the marker or the suspension ends  5 user  6 why, or ''
--       7 note on the suspension  8 size of the log
-- Reply LISTED, with 1 in front, or 0 if the user was suspended before; NEWER, LATE
--
-- An earlier suspension stays as it was. The list of suspended users gets the user back if it was
-- lost. The first write is a DEL, so all writes are allowed when memory is full.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local before = suspension(KEYS[3])
if before == false or not revoke_up_to(KEYS[2], now, NO_SESSION, ARGV[2], ARGV[4], ARGV[3]) then
  return {NEWER, now}
end
if not before then
  local head = string.format('1%011x', now) .. ARGV[2] .. string.format('%08x', #ARGV[4])
  redis.call('SET', KEYS[3], head .. ARGV[4] .. ARGV[6])
  note(KEYS[5], ARGV[8], '', ARGV[5], ARGV[7])
end
redis.call('ZADD', KEYS[4], before and before.since or now, ARGV[5])
local reply = {LISTED, now, before and 0 or 1}
for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if ENTRY[string.sub(entry, 1, 1)] then
    reply[#reply + 1] = entry
  end
end
return reply
