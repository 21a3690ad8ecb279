-- Sessions of a user that the list of the bucket has and the list of the user has not, among those of a page.
-- There are none, unless a list was lost.
--
-- KEYS  1 list of the bucket  2 list of the user
-- ARGV  1 user  2 the moment from which on to look, in ms  3 at how many members
-- Reply LISTED, with the moment of the last member in front of the refs

local now = clock()
local page = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {LISTED, now, #page / 2, page[#page] or ARGV[2]}
for i = 1, #page, 2 do
  local member = page[i]
  if string.sub(member, 1, 1) == 's' and string.sub(member, 41) == ARGV[1] then
    local ref = string.sub(member, 2, 29)
    if not redis.call('ZSCORE', KEYS[2], ref) then
      reply[#reply + 1] = ref
    end
  end
end
return reply
