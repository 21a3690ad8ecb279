-- Sets the marker of a revocation of all sessions of a user, and lists the sessions. This is the
-- moment of the revocation: from now on no older sign-in succeeds and no older session is written.
--
-- KEYS  1 list of the user  2 revocation marker of the user
-- ARGV  1 code of the reason  2 name of the session that is kept, or ''  3 ms to store the marker
--       4 note for sessions that the marker ends  5 not after (ms)  6 when it was requested (ms)
-- Reply LISTED, with the number of entries in front; NEWER
--
-- If it runs after its caller has given up, it revokes up to the moment of the request. So it does
-- not affect users who authenticated later.

local now = clock()
local moment = now
if is_late(ARGV[5], now) then
  moment = math.min(now, tonumber(ARGV[6]))
end
local kept = ARGV[2] ~= '' and ARGV[2] or NO_SESSION
if not revoke_up_to(KEYS[2], moment, kept, ARGV[1], ARGV[4], ARGV[3]) then
  return {NEWER, now}
end
local reply = {LISTED, now, 0}
for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if ENTRY[string.sub(entry, 1, 1)] then
    reply[#reply + 1] = entry
  end
end
reply[3] = #reply - 3
return reply
