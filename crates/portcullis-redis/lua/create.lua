-- Brings a session into being under a key that nothing is stored under.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user  5 revocation mark of the user
--       6… sessions that may have to go for it
-- ARGV  1 idle timeout (ms)  2 absolute timeout (ms from now), or '' with 5 and 6
--       3 revision  4 payload  5 absolute deadline (ms)  6 last activity (ms), or '' for now
--       7 ref  8 user, or ''  9 when they authenticated (ms), or ''  10 when the elevations run out (ms), or ''
--       11 size of the log  12 how many sessions the user may have, or ''  13 '1' to make room, '0' to refuse
--       14 note and 15 ms to remember it, for those who have to go  16 how many notes, and then the notes,
--       and then the refs of 6…
-- Reply DONE, TAKEN, LIMIT (with those who have to go: name them, and try again), REVOKED
--
-- Without a user 4 and 5 are not touched. SET NX is the first write: when memory is full it refuses and
-- nothing has changed; what comes after it is not refused any more. Arguments 5 and 6 are for a session that
-- moves here from another bucket and keeps its deadlines.

local now = clock()
local session = {idle = tonumber(ARGV[1]), revision = ARGV[3]}
session.absolute = tonumber(ARGV[5]) or now + tonumber(ARGV[2])
session.last = tonumber(ARGV[6]) or now
local ref, user, log_size, notes = ARGV[7], ARGV[8], ARGV[11], tonumber(ARGV[16])

local over, declared = {}, {}
if user ~= '' then
  if revoked(KEYS[5], ARGV[9], ref) then
    return {REVOKED, now}
  end
  over, declared = room(KEYS[4], now, ARGV[12], ARGV[13], ref, 6, 17 + notes)
  if not over then
    return declared
  end
end
if not redis.call('SET', KEYS[1], header(session) .. ARGV[4], 'PXAT', math.max(due(session), 1), 'NX') then
  -- The same request once more, because its answer was lost.
  local stored = live(KEYS[1], now)
  if stored and stored.revision == ARGV[3] then
    return done(stored, now)
  end
  return {TAKEN, now}
end
list(KEYS[2], KEYS[4], session, ref, user)
list_elevation(KEYS[2], session, ref, user, ARGV[10])
local reply = done(session, now)
displace(reply, over, declared, KEYS[2], KEYS[4], KEYS[3], log_size, user, ARGV[14], ARGV[15], now)
for i = 1, notes do
  note(KEYS[3], log_size, ref, user, ARGV[16 + i])
end
return reply
