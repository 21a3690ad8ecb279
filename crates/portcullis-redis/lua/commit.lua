-- Writes the payload of a live session if nobody else did since the expected revision.
--
-- KEYS  1 the session
-- ARGV  1 expected revision  2 new revision  3 '1' if it is activity, else '0'  4 payload
-- Reply DONE, CONFLICT, GONE, NEWER
--
-- SET is the first write: when memory is full it refuses and nothing has changed. The expiry is computed
-- from the header again, so a key that had lost its TTL gets it back.

local now = clock()
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
if session.revision == ARGV[2] then
  return done(session, now)
end
if session.revision ~= ARGV[1] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
session.revision = ARGV[2]
if ARGV[3] == '1' then
  session.last = math.max(session.last, now)
end
redis.call('SET', KEYS[1], header(session) .. ARGV[4], 'PXAT', due(session))
return done(session, now)
