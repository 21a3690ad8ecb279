-- Brings a session into being under a key that nothing is stored under.
--
-- KEYS  1 the session
-- ARGV  1 idle timeout (ms)  2 absolute timeout (ms from now), or '' with 5 and 6
--       3 revision  4 payload  5 absolute deadline (ms)  6 last activity (ms), or '' for now
-- Reply DONE, TAKEN
--
-- SET NX is the first write: when memory is full it refuses and nothing has changed. Arguments 5 and 6
-- are for a session that moves here from another bucket and keeps its deadlines.

local now = clock()
local session = {idle = tonumber(ARGV[1]), revision = ARGV[3]}
session.absolute = tonumber(ARGV[5]) or now + tonumber(ARGV[2])
session.last = tonumber(ARGV[6]) or now

if redis.call('SET', KEYS[1], header(session) .. ARGV[4], 'PXAT', math.max(due(session), 1), 'NX') then
  return done(session, now)
end
-- The same request once more, because its answer was lost.
local stored = live(KEYS[1], now)
if stored and stored.revision == ARGV[3] then
  return done(stored, now)
end
return {TAKEN, now}
