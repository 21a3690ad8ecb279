-- Ends a live session in favour of one that was just created, if no other write happened since the
-- expected revision. It is the second half of a move between buckets, and of a move that displaces
-- other sessions.
--
-- KEYS  1 the session  2 list of the bucket  3 log  4 list of the user
-- ARGV  1 not after (ms)  2 expected revision  3 code of the end  4 ms to remember it
--       5 the key of the new one as the tombstone under the old one has it, or ''
--       6 revision of the new one  7 entry  8 user, or ''  9 note on its end, or ''
--       10 size of the log
-- Reply DONE, CONFLICT, GONE, NEWER, LATE
--
-- Sent again after its answer was lost, it replies DONE again: the tombstone has the revision of
-- the new session.

local now = clock()
if is_late(ARGV[1], now) then
  return {LATE, now}
end
local session, refusal, found = live(KEYS[1], now)
if not session then
  if found and string.sub(found, 1, 2) == '-' .. ARGV[3] and field(found, '=') == ARGV[6] then
    return {DONE, now, 0, 0, 0, 0}
  end
  return refusal
end
if session.revision ~= ARGV[2] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
local entry, user = ARGV[7], ARGV[8]
end_session(KEYS[1], entry, ARGV[3], ARGV[4], (ARGV[5] ~= '' and '>' .. ARGV[5] or '') .. '=' .. ARGV[6])
unlist(KEYS[2], KEYS[4], session, entry, user, now)
if ARGV[9] ~= '' then
  note(KEYS[3], ARGV[10], entry, user, ARGV[9])
end
return done(session, now)
