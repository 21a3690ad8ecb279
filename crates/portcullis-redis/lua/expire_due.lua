-- Removes expired members from the lists, for exactly one caller to report.
--
-- KEYS  1 list of the bucket  2 log of sessions with a user  3 log of those without
--       4… for each member: the session, and the list of its user
-- ARGV  1 size of the log with a user  2 without  3 ms to remember an end of a session
--       4 '1' to remember it also without a user  5 note on an idle timeout
--       6 on an absolute timeout  7 on the end of an elevation  8… the members
-- Reply EXPIRED
--
-- A session that is still live is moved to when it is due. While memory is full it stays where it
-- is. A session that was ended and is still listed is removed without a report. A session of a
-- later version is checked again an hour later. ZREM comes first, so that later writes are not
-- refused.

local now = clock()
local reply = {EXPIRED, now}
local LATER = 3600000

local function report(member, entry, user, code, at, text)
  if user ~= '' then
    note(KEYS[2], ARGV[1], entry, user, text, at)
  else
    note(KEYS[3], ARGV[2], entry, user, text, at)
  end
  reply[#reply + 1] = member
  reply[#reply + 1] = code
  reply[#reply + 1] = at
end

for i = 8, #ARGV do
  local member = ARGV[i]
  local key, users = KEYS[2 * i - 12], KEYS[2 * i - 11]
  local at = tonumber(redis.call('ZSCORE', KEYS[1], member) or nil)
  if at and at <= now then
    local kind, entry, absolute, user = parts(member)
    if not kind or not absolute then
      redis.pcall('ZADD', KEYS[1], 'XX', now + LATER, member)
    else
      local session, refusal, found = live(key, now)
      if kind == 'e' then
        redis.call('ZREM', KEYS[1], member)
        -- If the session had ended before, its elevations ended with it and are not reported.
        local due_at = redis.call('ZSCORE', KEYS[1], 's' .. string.sub(member, 2))
        if session or not due_at or tonumber(due_at) >= at then
          report(member, entry, user, 'e', at, ARGV[7])
        end
      elseif session then
        redis.pcall('ZADD', KEYS[1], 'XX', due(session), member)
      elseif refusal[1] == NEWER then
        redis.pcall('ZADD', KEYS[1], 'XX', now + LATER, member)
      else
        redis.call('ZREM', KEYS[1], member)
        if user ~= '' then
          redis.call('ZREM', users, entry)
        end
        local elevation = 'e' .. string.sub(member, 2)
        local ends_at = redis.call('ZSCORE', KEYS[1], elevation)
        if ends_at and tonumber(ends_at) > at then
          redis.call('ZREM', KEYS[1], elevation)
        end
        if not (found and string.sub(found, 1, 1) == '-') then
          local code, text = 'i', ARGV[5]
          if at >= absolute then
            code, text = 'a', ARGV[6]
          end
          report(member, entry, user, code, at, text)
          if user ~= '' or ARGV[4] == '1' then
            write_tombstone(key, entry, code, ARGV[3])
          else
            -- The key may have lost its TTL.
            redis.call('DEL', key)
          end
        end
      end
    end
  end
end
return reply
