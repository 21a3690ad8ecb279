-- Activates a version of the policy of a realm, if the expected version is active.
--
-- KEYS  1 the policy, as in lua/read_policy.lua
-- ARGV  1 the number of the expected version (16 hex), or '' for none  2 the new number (16 hex)
--       3 the content  4 the channel
-- Reply LISTED with 0 and when it was activated (ms)
--       CONFLICT with the number of the active version, or '' if there is none
--       NEWER if a later version wrote it
--
-- The moment is later than that of the version before, also if the server's clock was set back.

local now = clock()
local head = redis.call('GETRANGE', KEYS[1], 0, 27)
local number, since = '', now
if head ~= '' then
  if not string.find(head, '^1%x+$') or #head < 28 then
    return {NEWER, now}
  end
  number = string.sub(head, 2, 17)
  local before = tonumber(string.sub(head, 18, 28), 16)
  -- The same call again, because its answer was lost.
  if number == ARGV[2] and redis.call('GETRANGE', KEYS[1], 28, -1) == ARGV[3] then
    return {LISTED, now, 0, tostring(before)}
  end
  since = math.max(now, before + 1)
end
if number ~= ARGV[1] then
  return {CONFLICT, now, number}
end
redis.call('SET', KEYS[1], '1' .. ARGV[2] .. string.format('%011x', since) .. ARGV[3])
-- A hint to ask for it, which may be forbidden or lost.
redis.pcall('PUBLISH', ARGV[4], 'policy')
return {LISTED, now, 0, string.format('%d', since)}
