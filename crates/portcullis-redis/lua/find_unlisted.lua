-- Finds sessions of a user on a page of the bucket's list that are missing in the user's list.
-- There are none, unless a list was lost.
--
-- KEYS  1 list of the bucket  2 list of the user
-- ARGV  1 user  2 the moment at which the page begins, in ms  3 how many members it has
-- Reply LISTED, with the moment of the last member in front of the entries

local now = clock()
local page = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {LISTED, now, #page / 2, page[#page] or ARGV[2]}
for i = 1, #page, 2 do
  local tag, entry, _, user = parts(page[i])
  if tag == 's' and user == ARGV[1] and not redis.call('ZSCORE', KEYS[2], entry) then
    reply[#reply + 1] = entry
  end
end
return reply
