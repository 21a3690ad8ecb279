-- The moment of a revocation of all sessions of a user: sets the marker under which no older sign-in comes to
-- its end and no older session is written any more, and lists the sessions there are.
--
-- KEYS  1 list of the user  2 revocation marker of the user
-- ARGV  1 code of the reason  2 name of the one that is kept, or ''  3 ms to keep the marker  4 note for those that
--       the marker ends  5 not after (ms)  6 when it was asked for (ms)
-- Reply LISTED, with their number in front; NEWER
--
-- Run when its caller no longer waits, it revokes up to the moment at which it was asked for: it touches no session that
-- authenticated later.

local now = clock()
local moment = now
if is_late(ARGV[5], now) then
  moment = math.min(now, tonumber(ARGV[6]))
end
local kept = ARGV[2] ~= '' and ARGV[2] or NOBODY
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
