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
  local header = redis.pcall('GETRANGE', key, 0, 53)
  if type(header) ~= 'string' then
    return
  end
  if string.find(header, '^1[0-9a-f]+%w%w[01][0-9a-f]+$') and #header == 54 then
    local absolute = earlier(string.sub(header, 2, 12))
    local idle = string.sub(header, 13, 21)
    local last = earlier(string.sub(header, 22, 32))
    local privileged = earlier(string.sub(header, 33, 43))
    local due = math.min(tonumber(last, 16) + tonumber(idle, 16), tonumber(absolute, 16))
    if due <= now then
      redis.call('DEL', key)
    else
      redis.call('SETRANGE', key, 0, '1' .. absolute .. idle .. last .. privileged)
      redis.call('PEXPIREAT', key, due)
    end
    found = found + 1
  elseif string.find(header, '^%-%l') and #header >= 14 then
    redis.call('PEXPIRE', key, redis.call('PTTL', key) - by)
    found = found + 1
  end
end

-- The active policy, and the earlier versions in its content.
local function age_policy(key)
  local stored = redis.call('GET', key)
  local content = string.gsub(string.sub(stored, 29), '"(%l+)":(%d+)', function(name, moment)
    if name == 'since' or name == 'until' then
      return string.format('"%s":%d', name, moment - by)
    end
  end)
  redis.call('SET', key, string.sub(stored, 1, 17) .. earlier(string.sub(stored, 18, 28)) .. content)
end

-- How far the settling of a policy is.
local function age_settling(key)
  for _, field in ipairs({'u', 'f'}) do
    local at = tonumber(redis.call('HGET', key, field) or nil)
    if at then
      redis.call('HSET', key, field, string.format('%d', at - by))
    end
  end
end

for _, key in ipairs(redis.call('KEYS', '*:{*}*')) do
  local kind = string.match(key, '}:(%l)')
  if string.find(key, ':{policies}:p:', 1, true) then
    age_policy(key)
  elseif string.find(key, ':{policies}:s:', 1, true) then
    age_settling(key)
  elseif kind == 'x' then
    age_list(key, function(member)
      local length = string.sub(member, 2, 2) == 'f' and 46 or 30
      return string.sub(member, 1, 1 + length) .. earlier(string.sub(member, 2 + length, 12 + length)) .. string.sub(member, 13 + length)
    end)
  elseif kind == 'u' then
    age_list(key, function(member) return member end)
  elseif kind == 'e' then
    redis.call('SETRANGE', key, 1, earlier(redis.call('GETRANGE', key, 1, 11)) .. earlier(redis.call('GETRANGE', key, 12, 22)))
  elseif not kind then
    age_session(key)
  end
end
return found
