-- Writes the payload of a live session, if no other write happened since the expected revision.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 revocation marker of the user  6 suspension of the user
-- ARGV  1 not after (ms)  2 expected revision  3 new revision  4 kind of activity
--       5 payload  6 entry  7 user, or ''  8 when they authenticated (ms), or ''
--       9 '1' if it is flagged, else '0'  10 ms to remember a revocation
--       11 another idle timeout (ms), or ''  12 an earlier absolute deadline (ms), or ''
--       13 when its elevations end (ms), or '', with 12; or '-' if they end now
--       14 size of the log  15… notes
-- Reply DONE, CONFLICT, GONE, NEWER, LATE
--
-- SET is the first write: when memory is full it is refused and nothing has changed. The expiry is
-- computed from the header again, so a key that had lost its TTL gets it back.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local session, refusal = live(KEYS[1], now)
if not session then
  return refusal
end
if session.revision == ARGV[3] then
  return done(session, now)
end
local entry, user, log_size = ARGV[6], ARGV[7], ARGV[14]
local ended = end_if_forbidden(KEYS[6], KEYS[5], ARGV[8], KEYS[1], KEYS[2], KEYS[4], KEYS[3], log_size, session, entry, user, ARGV[10], now)
if ended then
  return ended
end
if session.revision ~= ARGV[2] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
session.revision = ARGV[3]
session.flag = ARGV[9]
local before = {absolute = session.absolute}
limit(session, ARGV[11], ARGV[12])
local active = act(session, ARGV[4], now)
redis.call('SET', KEYS[1], header(session) .. ARGV[5], 'PXAT', due(session))
-- Otherwise the lists have the right moment already.
local ends_elevations = ARGV[13] == '-'
if session.absolute ~= before.absolute or ends_elevations then
  unlist(KEYS[2], KEYS[4], before, entry, user, now)
  list_elevation(KEYS[2], session, entry, user, ends_elevations and '' or ARGV[13])
end
if active or ARGV[11] ~= '' or ARGV[12] ~= '' or ends_elevations then
  list(KEYS[2], KEYS[4], session, entry, user)
end
for i = 15, #ARGV do
  note(KEYS[3], log_size, entry, user, ARGV[i])
end
if ARGV[11] ~= '' or ARGV[12] ~= '' or ends_elevations then
  announce(KEYS[1], entry)
end
return done(session, now)
