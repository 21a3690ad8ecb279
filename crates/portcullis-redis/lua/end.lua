-- Ends a session, whatever its revision.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 how many sessions versions of the policy have ended
-- ARGV  1 code of the reason  2 ms to remember it, or 0 if no client ever had this key  3 entry
--       4 user, or ''  5 note  6 size of the log
--       7 until when it would be live (ms), as the caller found it, or '' if it was not loaded
--       8 number of the version of the policy that ended it (16 hex), or ''
--       9 ms to remember how many it has ended
-- Reply DONE, GONE, NEWER, MOVED (it was moved to another key, perhaps of another bucket: end it
--       there), LOST (it must be live under another key, and neither its tombstone nor its user's
--       list has that key)
--
-- MOVED and LOST change nothing.

local now = clock()
local entry, user = ARGV[3], ARGV[4]
local session, refusal, found = live(KEYS[1], now)
if not session then
  if found and string.sub(found, 1, 2) == '-r' then
    local successor = field(found, '>')
    if successor then
      return {MOVED, now, successor}
    end
  end
  local was_live = ARGV[7] ~= '' and now < tonumber(ARGV[7])
  if found == '' and user ~= '' then
    -- Its tombstone expired or was evicted. The list still has the session with its name. A caller
    -- that did not load it may mean a key that was never created. The name may then be that of the
    -- session it was to replace.
    for _, other in ipairs(was_live and redis.call('ZRANGE', KEYS[4], 0, -1) or {}) do
      if other ~= entry and ENTRY[string.sub(other, 1, 1)] and name(other) == name(entry) then
        return {MOVED, now, string.sub(other, 3, 18)}
      end
    end
    -- A session that an operator removed by hand must not stay in the list of its user.
    redis.call('ZREM', KEYS[4], entry)
  end
  if found == '' and was_live then
    return {LOST, now}
  end
  return refusal
end
end_session(KEYS[1], entry, ARGV[1], ARGV[2])
unlist(KEYS[2], KEYS[4], session, entry, user, now)
note(KEYS[3], ARGV[6], entry, user, ARGV[5])
if ARGV[8] ~= '' then
  local field = ARGV[8] .. string.sub(entry, 2, 2)
  local count = tonumber(redis.call('HGET', KEYS[5], field) or nil) or 0
  redis.pcall('HSET', KEYS[5], field, count + 1)
  redis.pcall('PEXPIREAT', KEYS[5], now + ARGV[9])
end
return done(session, now)
