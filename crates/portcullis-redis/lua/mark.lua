-- The moment of a revocation of all sessions of a user: sets the mark under which no older sign-in comes to
-- its end and no older session is written any more, and lists the sessions there are.
--
-- KEYS  1 list of the user  2 revocation mark of the user
-- ARGV  1 letter of the reason  2 name of the one that is kept, or ''  3 ms to keep the mark  4 note for those that
--       the mark ends
-- Reply LISTED, with their number in front
--
-- DEL comes first: after it, SET is not refused when memory is full.

local NOBODY = string.rep('\0', 12)
local now = clock()
local kept = ARGV[2] ~= '' and ARGV[2] or NOBODY
-- A mark is never weakened: whoever was not kept the last time is not kept by this one either. Nor does it move back
-- when the server's clock does.
local all, but_one = 0, now
local old = redis.call('GETRANGE', KEYS[2], 0, 34)
if #old == 35 then
  local same = kept == string.sub(old, 24, 35)
  all = tonumber(same and string.sub(old, 1, 11) or string.sub(old, 12, 22), 16)
  but_one = math.max(now, tonumber(string.sub(old, 12, 22), 16))
end
if kept == NOBODY then
  all = but_one
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[2], string.format('%011x%011x', all, but_one) .. ARGV[1] .. kept .. ARGV[4], 'PX', ARGV[3])
local reply = {LISTED, now, 0}
for _, ref in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  reply[#reply + 1] = ref
end
reply[3] = #reply - 3
return reply
