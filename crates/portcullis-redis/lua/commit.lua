-- Writes the payload of a live session, if no other write happened since the expected revision.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
--       5 revocation marker of the user
-- ARGV  1 not after (ms)  2 expected revision  3 new revision  4 kind of activity
--       5 payload  6 entry  7 user, or ''  8 when they authenticated (ms), or ''
--       9 '1' if it is flagged, else '0'  10 ms to remember a revocation
--       11 another idle timeout (ms), or ''  12 size of the log, and then the notes
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
local entry, user, log_size = ARGV[6], ARGV[7], ARGV[12]
local ended = end_by_marker(KEYS[5], ARGV[8], KEYS[1], KEYS[2], KEYS[4], KEYS[3], log_size, session, entry, user, ARGV[10], now)
if ended then
  return ended
end
if session.revision ~= ARGV[2] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
session.revision = ARGV[3]
session.flag = ARGV[9]
session.idle = tonumber(ARGV[11]) or session.idle
local active = act(session, ARGV[4], now)
redis.call('SET', KEYS[1], header(session) .. ARGV[5], 'PXAT', due(session))
-- Otherwise the lists have the right moment already.
if active or ARGV[11] ~= '' then
  list(KEYS[2], KEYS[4], session, entry, user)
end
for i = 13, #ARGV do
  note(KEYS[3], log_size, entry, user, ARGV[i])
end
return done(session, now)
