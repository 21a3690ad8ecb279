-- Records which version of the policy a process uses.
--
-- A report is stored under the name of its process: when it was received (ms), a space, the number
-- of the version (16 hex) or `-`, a space, how long after its activation it was used (ms) or `-`, a
-- space, and the problem.
--
-- KEYS  1 the reports
-- ARGV  1 the process  2 the number (16 hex), or `-`  3 the problem, or ''
--       4 for how long a report is kept (ms)  5 how long after the activation (ms), or `-`
-- Reply GONE, which only means that it was recorded

local now = clock()
local reports = redis.call('HGETALL', KEYS[1])
local recent = {ARGV[1], string.format('%d %s %s %s', now, ARGV[2], ARGV[5], ARGV[3])}
for i = 1, #reports, 2 do
  local at = tonumber(string.match(reports[i + 1], '^(%d+) '))
  if reports[i] ~= ARGV[1] and at and now < at + ARGV[4] then
    recent[#recent + 1] = reports[i]
    recent[#recent + 1] = reports[i + 1]
  end
end
-- Written anew without what is too old, since no other script needs the right to remove a field.
redis.call('DEL', KEYS[1])
for i = 1, #recent, 2 do
  redis.call('HSET', KEYS[1], recent[i], recent[i + 1])
end
redis.call('PEXPIREAT', KEYS[1], now + ARGV[4])
return {GONE, now}
