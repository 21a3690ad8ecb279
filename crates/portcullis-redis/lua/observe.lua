-- Writes an observation to the log: an event that changed nothing. Equal observations in a row
-- become one entry, with their number and the time of the first. So a client that repeats a refused
-- request a thousand times fills one line.
--
-- KEYS  1 log
-- ARGV  1 size of the log  2 name of the session, or ''  3 user, or ''  4 note
--       5 the longest time (ms) from the first to the last of an entry
-- Reply LISTED, with the number of observations in the entry in front
--
-- A row is of one session and user. It is searched among the newest entries of the log, of any
-- session. Notes of changes have no number and are never merged. XDEL comes first: after it, XADD
-- is not refused when memory is full.

local SEARCHED = 8
local now = clock()
local count, first = 1, ''
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', SEARCHED)) do
  local fields = entry[2]
  if fields[2] == ARGV[2] and fields[4] == ARGV[3] then
    if fields[6] == ARGV[4] and fields[9] == 'c' then
      local began = fields[12] ~= '' and fields[12] or string.match(entry[1], '^%d+')
      if now - began <= tonumber(ARGV[5]) then
        redis.call('XDEL', KEYS[1], entry[1])
        count, first = fields[10] + 1, began
      end
    end
    break
  end
end
append(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], '', 'c', count, 'f', first)
-- Now and then: removed entries leave unused memory in their nodes.
if count > 1 and now % 32 == 0 then
  trim(KEYS[1], tonumber(ARGV[1]), true)
end
return {LISTED, now, count}
