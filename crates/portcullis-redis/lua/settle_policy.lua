-- Gives one caller at a time the turn at settling a version of the policy.
--
-- The state is a hash: `n` the number of the version (16 hex), `b` the next bucket, `w` who has the
-- turn, `u` until when (ms), and `f` when all buckets were done (ms), or ''.
--
-- KEYS  1 the state  2 the policy, as in lua/read_policy.lua
-- ARGV  1 the number (16 hex)  2 the caller  3 how many buckets it has done, if it has the turn
--       4 how long a turn lasts (ms)  5 how long to remember the state (ms)
--       6 after how long to settle once more (ms), or ''
-- Reply LISTED with 0 and a bucket if the caller has the turn, 1 and a bucket if another has it,
--       2 and a moment (ms) if all was done, 3 if another version is active

local now = clock()
local state = {n = ARGV[1], b = '0', w = '', u = '0', f = ''}
local stored = redis.call('HGETALL', KEYS[1])
local known = {}
for i = 1, #stored, 2 do
  known[stored[i]] = stored[i + 1]
end
if string.sub(redis.call('GETRANGE', KEYS[2], 0, 16), 2) ~= ARGV[1] then
  return {LISTED, now, 3}
end
local done_at = tonumber(known.f or nil)
local is_over = done_at and ARGV[6] ~= '' and now >= done_at + ARGV[6]
if known.n == ARGV[1] and not is_over then
  state = known
end
if done_at and not is_over and known.n == ARGV[1] then
  return {LISTED, now, 2, known.f}
end
local is_free = now >= (tonumber(state.u) or 0)
if state.w ~= ARGV[2] and not is_free then
  return {LISTED, now, 1, state.b}
end
local bucket = tonumber(state.b) or 0
if state.w == ARGV[2] and not is_free then
  bucket = math.max(bucket, math.min(tonumber(ARGV[3]), 1024))
end
local is_done = bucket >= 1024
local fields = {n = ARGV[1], b = bucket, w = ARGV[2], u = now + ARGV[4], f = is_done and now or ''}
for _, field in ipairs({'n', 'b', 'w', 'u', 'f'}) do
  redis.call('HSET', KEYS[1], field, string.format('%s', fields[field]))
end
redis.call('PEXPIREAT', KEYS[1], now + ARGV[5])
if is_done then
  return {LISTED, now, 2, string.format('%d', now)}
end
return {LISTED, now, 0, string.format('%d', bucket)}
