-- Brings a session into being under a key that nothing is stored under.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user  5 revocation mark of the user
-- ARGV  1 idle timeout (ms)  2 absolute timeout (ms from now), or '' with 5 and 6
--       3 revision  4 payload  5 absolute deadline (ms)  6 last activity (ms), or '' for now
--       7 ref  8 user, or ''  9 when they authenticated (ms), or ''  10 when the elevations run out (ms), or ''
--       11 size of the log  12 how many sessions the user may have, or ''  13 '1' to make room, '0' to refuse
--       14… notes
-- Reply DONE (with those who have to go for it), TAKEN, LIMIT (there is no room, and it is to refuse), REVOKED
--
-- A script may touch no key that it was not told, so those who have to go are ended by whoever called, before anybody
-- is told the identifier of this one: there are never more that somebody could use.
--
-- Without a user 4 and 5 are not touched. SET NX is the first write: when memory is full it refuses and
-- nothing has changed; what comes after it is not refused any more. Arguments 5 and 6 are for a session that
-- moves here from another bucket and keeps its deadlines.

local now = clock()
local session = {idle = tonumber(ARGV[1]), revision = ARGV[3]}
session.absolute = tonumber(ARGV[5]) or now + tonumber(ARGV[2])
session.last = tonumber(ARGV[6]) or now
local ref, user, log_size = ARGV[7], ARGV[8], ARGV[11]

local over = {}
if user ~= '' then
  if revoked(KEYS[5], ARGV[9], ref) then
    return {REVOKED, now}
  end
  over = excess(KEYS[4], now, ARGV[12], ref)
  if #over > 0 and ARGV[13] == '0' then
    return {LIMIT, now}
  end
end
if not redis.call('SET', KEYS[1], header(session) .. ARGV[4], 'PXAT', math.max(due(session), 1), 'NX') then
  -- The same request once more, because its answer was lost.
  local stored = live(KEYS[1], now)
  if stored and stored.revision == ARGV[3] then
    return done(stored, now, over)
  end
  return {TAKEN, now}
end
list(KEYS[2], KEYS[4], session, ref, user)
list_elevation(KEYS[2], session, ref, user, ARGV[10])
for i = 14, #ARGV do
  note(KEYS[3], log_size, ref, user, ARGV[i])
end
return done(session, now, over)
