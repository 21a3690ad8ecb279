-- Creates a session under a key that is not in use.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 revocation marker of the user  6 suspension of the user
-- ARGV  1 not after (ms)  2 idle timeout (ms)  3 absolute timeout (ms from now), or '' with 6 and 7
--       4 revision  5 payload  6 absolute deadline (ms)  7 last activity (ms), or '' for now
--       8 last privileged activity (ms), or '' for the last activity
--       9 entry  10 user, or ''  11 when they authenticated (ms), or ''
--       12 when the elevations end (ms), or ''  13 '1' if it is flagged, else '0'
--       14 size of the log  15 how many sessions the user may have, '*' to end all others, or ''
--       16 '1' to displace others, '0' to refuse
--       17 code, 18 note and 19 ms to store the marker, if all others end  20… notes
-- Reply DONE (with the displaced sessions), TAKEN, LIMIT (there is no room, and others must not be
--       displaced), REVOKED, SUSPENDED, LATE, NEWER
--
-- A script may only use keys that it was given. So the caller ends the displaced sessions, before a
-- client is given the identifier of this one: there are never more usable sessions than allowed. If
-- all others end, the marker refuses every sign-in of this user that began before.
--
-- Without a user, keys 4 to 6 are not used. SET NX is the first write: when memory is full it is
-- refused and nothing has changed. Later writes are not refused. Arguments 6 to 8 are for a
-- session that moves here from another bucket and keeps its deadlines.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local entry, user, log_size, most = ARGV[9], ARGV[10], ARGV[14], ARGV[15]
local session = {idle = tonumber(ARGV[2]), revision = ARGV[4], flag = ARGV[13], gap = '0'}
session.absolute = tonumber(ARGV[6]) or now + tonumber(ARGV[3])
session.last = tonumber(ARGV[7]) or now
session.privileged = tonumber(ARGV[8]) or session.last
session.class = string.sub(entry, 2, 2)

local displaced_entries = {}
if user ~= '' then
  local suspended = suspension(KEYS[6])
  if suspended ~= nil then
    return {suspended and SUSPENDED or NEWER, now}
  end
  local found = revoked(KEYS[5], ARGV[11], entry)
  if found ~= nil then
    return {found and REVOKED or NEWER, now}
  end
  displaced_entries = displaced(KEYS[4], now, most, entry)
  if #displaced_entries > 0 and ARGV[16] == '0' then
    return {LIMIT, now}
  end
  if most == '*' and marker(KEYS[5]) == false then
    return {NEWER, now}
  end
end
if not redis.call('SET', KEYS[1], header(session) .. ARGV[5], 'PXAT', math.max(due(session), 1), 'NX') then
  -- The same call again, because its answer was lost.
  local stored = live(KEYS[1], now)
  if stored and stored.revision == ARGV[4] then
    return done(stored, now, displaced_entries)
  end
  return {TAKEN, now}
end
if most == '*' and user ~= '' then
  revoke_up_to(KEYS[5], now, name(entry), ARGV[17], ARGV[18], ARGV[19])
end
remove_lost(KEYS[4], user, now)
list(KEYS[2], KEYS[4], session, entry, user)
list_elevation(KEYS[2], session, entry, user, ARGV[12])
for i = 20, #ARGV do
  note(KEYS[3], log_size, entry, user, ARGV[i])
end
return done(session, now, displaced_entries)
