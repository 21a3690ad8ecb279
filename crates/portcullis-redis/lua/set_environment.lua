-- Gives a registered realm another environment.
--
-- KEYS  1 the registry
-- ARGV  1 the realm  2 the environment
--       3 for how long after its registration sessions of the realm may begin (ms)
-- Reply LISTED with 1 and the entry as it was
--       GONE if the realm is not registered
--       NEWER if the entry is of a later version
-- The words of an entry are those in `register.lua`.

local now = clock()
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return {GONE, now}
end
local longest, seen, rest = string.match(entry, '^(%d+) (%d+) %S+ (%S+ %S.*)$')
if not longest then
  return {NEWER, now}
end
if now >= seen + longest + ARGV[3] then
  return {GONE, now}
end
redis.call('HSET', KEYS[1], ARGV[1], table.concat({longest, seen, ARGV[2], rest}, ' '))
return {LISTED, now, 1, entry}
