-- Lets time pass for every session in a test server. Never for a server that matters: it looks at all keys.
--
-- ARGV  1 how much time (ms)
-- Reply the number of sessions and ended sessions it found

local by = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = 0
for _, key in ipairs(redis.call('KEYS', '*:{*}*')) do
  local header = redis.pcall('GETRANGE', key, 0, 38)
  if type(header) == 'string' and string.find(header, '^1[0-9a-f]+$') and #header == 39 then
    local absolute = math.max(tonumber(string.sub(header, 2, 12), 16) - by, 0)
    local idle = tonumber(string.sub(header, 13, 20), 16)
    local last = math.max(tonumber(string.sub(header, 21, 31), 16) - by, 0)
    local due = math.min(last + idle, absolute)
    if due <= now then
      redis.call('DEL', key)
    else
      redis.call('SETRANGE', key, 0, string.format('1%011x%08x%011x', absolute, idle, last))
      redis.call('PEXPIREAT', key, due)
    end
    found = found + 1
  elseif type(header) == 'string' and string.find(header, '^%-%l') and (#header == 2 or #header == 27) then
    redis.call('PEXPIRE', key, redis.call('PTTL', key) - by)
    found = found + 1
  end
end
return found
