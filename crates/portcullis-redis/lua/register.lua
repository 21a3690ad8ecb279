-- Records in the registry that a realm is in use, with the longest absolute timeout that was ever
-- registered for it.
--
-- KEYS  1 the registry
-- ARGV  1 the realm  2 the name of its cookie  3 its longest absolute timeout (ms)
-- Reply GONE, which only means that it was recorded

local now = clock()
local longest = tonumber(ARGV[3])
local before = tonumber(string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) ') or 0)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %s', math.max(longest, before), now, ARGV[2]))
return {GONE, now}
