-- Sessions of a user that the list of the bucket has and the list of the user has not, among some members.
-- There are none, unless a list was lost.
--
-- KEYS  1 list of the bucket  2 list of the user
-- ARGV  1 user  2 first and 3 last member to look at
-- Reply LISTED

local now = clock()
local members = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3])
local reply = {LISTED, now, #members}
for _, member in ipairs(members) do
  if string.sub(member, 1, 1) == 's' and string.sub(member, 41) == ARGV[1] then
    local ref = string.sub(member, 2, 29)
    if not redis.call('ZSCORE', KEYS[2], ref) then
      reply[#reply + 1] = ref
    end
  end
end
return reply
