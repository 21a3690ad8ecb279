-- Creates a session under a key that is not in use.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 revocation marker of the user
-- ARGV  1 not after (ms)  2 idle timeout (ms)  3 absolute timeout (ms from now), or '' with 6 and 7
--       4 revision  5 payload  6 absolute deadline (ms)  7 last activity (ms), or '' for now
--       8 entry  9 user, or ''  10 when they authenticated (ms), or ''
--       11 when the elevations end (ms), or ''  12 '1' if it is flagged, else '0'
--       13 size of the log  14 how many sessions the user may have, '*' to end all others, or ''
--       15 '1' to displace others, '0' to refuse
--       16 code, 17 note and 18 ms to store the marker, if all others end  19… notes
-- Reply DONE (with the displaced sessions), TAKEN, LIMIT (there is no room, and others must not be
--       displaced), REVOKED, LATE, NEWER
--
-- A script may only use keys that it was given. So the caller ends the displaced sessions, before a
-- client is given the identifier of this one: there are never more usable sessions than allowed. If
-- all others end, the marker refuses every sign-in of this user that began before.
--
-- Without a user, keys 4 and 5 are not used. SET NX is the first write: when memory is full it is
-- refused and nothing has changed. Later writes are not refused. Arguments 6 and 7 are for a
-- session that moves here from another bucket and keeps its deadlines.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local entry, user, log_size, most = ARGV[8], ARGV[9], ARGV[13], ARGV[14]
local session = {idle = tonumber(ARGV[2]), revision = ARGV[4], flag = ARGV[12], gap = '0'}
session.absolute = tonumber(ARGV[6]) or now + tonumber(ARGV[3])
session.last = tonumber(ARGV[7]) or now
session.privileged = session.last
session.class = string.sub(entry, 2, 2)

local displaced_entries = {}
if user ~= '' then
  local found = revoked(KEYS[5], ARGV[10], entry)
  if found ~= nil then
    return {found and REVOKED or NEWER, now}
  end
  displaced_entries = displaced(KEYS[4], now, most, entry)
  if #displaced_entries > 0 and ARGV[15] == '0' then
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
  revoke_up_to(KEYS[5], now, name(entry), ARGV[16], ARGV[17], ARGV[18])
end
remove_lost(KEYS[4], user, now)
list(KEYS[2], KEYS[4], session, entry, user)
list_elevation(KEYS[2], session, entry, user, ARGV[11])
for i = 19, #ARGV do
  note(KEYS[3], log_size, entry, user, ARGV[i])
end
return done(session, now, displaced_entries)
