-- Writes the payload of a live session if nobody else did since the expected revision.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user  5 revocation mark of the user
-- ARGV  1 expected revision  2 new revision  3 '1' if it is activity, else '0'  4 payload
--       5 ref  6 user, or ''  7 when they authenticated (ms), or ''  8 ms to remember a revocation
--       9 size of the log, and then the notes
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
local ref, user = ARGV[5], ARGV[6]
if end_by_mark(KEYS[5], ARGV[7], KEYS[1], KEYS[2], KEYS[4], KEYS[3], ARGV[9], session, ref, user, ARGV[8], now) then
  return {GONE, now}
end
if session.revision ~= ARGV[1] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
session.revision = ARGV[2]
local active = ARGV[3] == '1'
if active then
  session.last = math.max(session.last, now)
end
redis.call('SET', KEYS[1], header(session) .. ARGV[4], 'PXAT', due(session))
-- Without activity it is due when the lists say.
if active then
  list(KEYS[2], KEYS[4], session, ref, user)
end
for i = 10, #ARGV do
  note(KEYS[3], ARGV[9], ref, user, ARGV[i])
end
return done(session, now)
