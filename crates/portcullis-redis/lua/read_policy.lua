-- Reads the active policy of a realm.
--
-- It is stored as `1`, its number (16 hex), when it was activated (ms, 11 hex), and its content.
--
-- KEYS  1 the policy
-- ARGV  1 the number that the caller knows (16 hex), or ''
-- Reply GONE if there is none
--       LISTED with 0 if it is the known one, and otherwise with 1 and the policy
--       NEWER if a later version wrote it

local now = clock()
local head = redis.call('GETRANGE', KEYS[1], 0, 27)
if head == '' then
  return {GONE, now}
end
if not string.find(head, '^1%x+$') or #head < 28 then
  return {NEWER, now}
end
if string.sub(head, 2, 17) == ARGV[1] then
  return {LISTED, now, 0}
end
return {LISTED, now, 1, redis.call('GET', KEYS[1])}
