-- Counts the live sessions of a bucket, one page at a time. Changes nothing.
--
-- KEYS  1 list of the bucket
-- ARGV  1 the moment after which the page begins, in ms; 0 for the first page
--       2 how many members it has
-- Reply LISTED, with the number of sessions with a user, the number without, and the moment after
--       which the next page begins, if there may be one. A page may have more members than
--       requested: it ends where a moment ends, so that no member is on two pages.

local now = clock()
local after, most = math.max(now, tonumber(ARGV[1])), tonumber(ARGV[2])
local page = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local last = #page == 2 * most and page[#page] or nil

-- The tag, the kind and the length decide: the user comes last.
local of_users, of_visitors, seen = 0, 0, 0
local function count(member)
  seen = seen + 1
  local length = ENTRY[string.sub(member, 2, 2)]
  if not length or string.sub(member, 1, 1) ~= 's' then
    return
  end
  if #member > 12 + length then
    of_users = of_users + 1
  else
    of_visitors = of_visitors + 1
  end
end

for i = 1, #page, 2 do
  if page[i + 1] ~= last then
    count(page[i])
  end
end
if not last then
  return {LISTED, now, seen, tostring(of_users), tostring(of_visitors)}
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], last, last)) do
  count(member)
end
return {LISTED, now, seen, tostring(of_users), tostring(of_visitors), last}
