-- Moves a live session to another key of its bucket and writes its payload, if no other write
-- happened since the expected revision. The old key is dead in the same step.
--
-- KEYS  1 the session  2 the new key  3 list of the bucket  4 log of the old one
--       5 list of its user  6 log of the new one  7 list of its user
--       8 revocation marker of its user  9 suspension of its user
-- ARGV  1 not after (ms)  2 expected revision  3 new revision  4 payload
--       5 code of the end of the old one  6 ms to remember it  7 kind of activity
--       8 idle timeout (ms) and 9 absolute timeout (ms from now), or '' to keep the deadlines
--       10 the new key as the tombstone under the old one has it, or ''  11 entry of the old one
--       12 its user, or ''  13 note on its end, or ''  14 entry of the new one  15 its user, or ''
--       16 when they authenticated (ms), or ''  17 when its elevations end (ms), or ''
--       18 '1' if it is flagged, else '0'  19 size of the log of the old one  20 of the new one
--       21 how many sessions the user may have, '*' to end all others, or ''
--       22 '1' to displace others, '0' to refuse
--       23 code, 24 note and 25 ms to store the marker, if all others end
--       26 ms to remember a revocation  27 another idle timeout (ms) and 28 an earlier absolute deadline
--       (ms) if the deadlines stay, or ''  29… notes
-- Reply DONE (with the displaced sessions, as lua/create.lua), CONFLICT, GONE, NEWER, TAKEN (the
--       new key is in use), LIMIT, REVOKED, SUSPENDED, LATE
--
-- If other sessions are displaced, or all others end, the old session stays live. The caller ends
-- the others and then, with lua/supersede.lua, the old one. So the old session is not lost if the
-- others cannot be ended.
--
-- SET of the new key is the first write: when memory is full it is refused and nothing has changed.
-- Later writes are not refused.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local session, refusal, tombstone = live(KEYS[1], now)
if not session then
  -- The same call again, because its answer was lost: the tombstone shows that it ended the old
  -- session.
  local is_ours = tombstone and string.sub(tombstone, 1, 2) == '-' .. ARGV[5] and field(tombstone, '=') == ARGV[3]
  local moved = is_ours and live(KEYS[2], now)
  if moved and moved.revision == ARGV[3] then
    return done(moved, now)
  end
  return refusal
end
if session.revision ~= ARGV[2] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
local old, entry, user, most = ARGV[11], ARGV[14], ARGV[15], ARGV[21]
local before = {absolute = session.absolute}

local displaced_entries = {}
if user ~= '' then
  if ARGV[8] ~= '' then
    -- A refused sign-in does not change the old session.
    local suspended = suspension(KEYS[9])
    if suspended ~= nil then
      return {suspended and SUSPENDED or NEWER, now}
    end
    local found = revoked(KEYS[8], ARGV[16], entry)
    if found ~= nil then
      return {found and REVOKED or NEWER, now}
    end
    displaced_entries = displaced(KEYS[7], now, most, entry, old)
    if #displaced_entries > 0 and ARGV[22] == '0' then
      return {LIMIT, now}
    end
    if most == '*' and marker(KEYS[8]) == false then
      return {NEWER, now}
    end
  else
    local ended = end_if_forbidden(KEYS[9], KEYS[8], ARGV[16], KEYS[1], KEYS[3], KEYS[5], KEYS[4], ARGV[19], before, old, ARGV[12], ARGV[26], now)
    if ended then
      return ended
    end
  end
end
session.revision = ARGV[3]
session.class = string.sub(entry, 2, 2)
session.flag = ARGV[18]
if ARGV[8] ~= '' then
  session.idle, session.absolute, session.last = tonumber(ARGV[8]), now + tonumber(ARGV[9]), now
  session.privileged, session.gap = now, '0'
else
  limit(session, ARGV[27], ARGV[28])
  act(session, ARGV[7], now)
end
if not redis.call('SET', KEYS[2], header(session) .. ARGV[4], 'PXAT', due(session), 'NX') then
  local created = live(KEYS[2], now)
  if created and created.revision == ARGV[3] then
    return done(created, now, displaced_entries)
  end
  return {TAKEN, now}
end
if most == '*' and user ~= '' and ARGV[8] ~= '' then
  revoke_up_to(KEYS[8], now, name(entry), ARGV[23], ARGV[24], ARGV[25])
end
if #displaced_entries == 0 and most ~= '*' then
  end_session(KEYS[1], old, ARGV[5], ARGV[6], (ARGV[10] ~= '' and '>' .. ARGV[10] or '') .. '=' .. ARGV[3])
  unlist(KEYS[3], KEYS[5], before, old, ARGV[12], now)
  if ARGV[13] ~= '' then
    note(KEYS[4], ARGV[19], old, ARGV[12], ARGV[13])
  end
end
remove_lost(KEYS[7], user, now)
list(KEYS[3], KEYS[7], session, entry, user)
list_elevation(KEYS[3], session, entry, user, ARGV[17])
for i = 29, #ARGV do
  note(KEYS[6], ARGV[20], entry, user, ARGV[i])
end
return done(session, now, displaced_entries)
