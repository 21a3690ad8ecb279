-- Lets time pass for every session in a test server. Never for a server that matters: it looks at all keys.
--
-- ARGV  1 how much time (ms)
-- Reply the number of sessions and ended sessions it found
--
-- Logs stay as they are: what is in a stream cannot be moved.

local by = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = 0

local function earlier(hex)
  return string.format('%011x', math.max(tonumber(hex, 16) - by, 0))
end

local function age_list(key, rename)
  local scored = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  redis.call('DEL', key)
  for i = 1, #scored, 2 do
    redis.call('ZADD', key, scored[i + 1] - by, rename(scored[i]))
  end
end

local function age_session(key)
  local header = redis.pcall('GETRANGE', key, 0, 38)
  if type(header) ~= 'string' then
    return
  end
  if string.find(header, '^1[0-9a-f]+$') and #header == 39 then
    local absolute = earlier(string.sub(header, 2, 12))
    local idle = string.sub(header, 13, 20)
    local last = earlier(string.sub(header, 21, 31))
    local due = math.min(tonumber(last, 16) + tonumber(idle, 16), tonumber(absolute, 16))
    if due <= now then
      redis.call('DEL', key)
    else
      redis.call('SETRANGE', key, 0, '1' .. absolute .. idle .. last)
      redis.call('PEXPIREAT', key, due)
    end
    found = found + 1
  elseif string.find(header, '^%-%l') and (#header == 14 or #header == 15 or #header == 39) then
    redis.call('PEXPIRE', key, redis.call('PTTL', key) - by)
    found = found + 1
  end
end

for _, key in ipairs(redis.call('KEYS', '*:{*}*')) do
  local kind = string.match(key, '}:(%l)')
  if kind == 'x' then
    age_list(key, function(member)
      return string.sub(member, 1, 29) .. earlier(string.sub(member, 30, 40)) .. string.sub(member, 41)
    end)
  elseif kind == 'u' then
    age_list(key, function(member) return member end)
  elseif kind == 'e' then
    redis.call('SETRANGE', key, 0, earlier(redis.call('GETRANGE', key, 0, 10)) .. earlier(redis.call('GETRANGE', key, 11, 21)))
  elseif not kind then
    age_session(key)
  end
end
return found
