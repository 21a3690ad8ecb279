-- Moves a live session to another key of its bucket and writes its payload, if nobody else did since the
-- expected revision. The old key is dead in the same step.
--
-- KEYS  1 the session  2 where it goes
-- ARGV  1 expected revision  2 new revision  3 payload  4 code of the end of the old one
--       5 ms to remember it  6 '1' if it is activity, else '0'
--       7 idle timeout (ms) and 8 absolute timeout (ms from now) if the deadlines are set anew, else ''
--       9 the new key as the mark under the old one spells it
-- Reply DONE, CONFLICT, GONE, NEWER, TAKEN (something is stored under the new key)
--
-- SET of the new key is the first write: when memory is full it refuses and nothing has changed. What
-- comes after it is not refused any more.

local now = clock()
local session, refusal = live(KEYS[1], now)
if not session then
  -- The same request once more, because its answer was lost.
  local moved = live(KEYS[2], now)
  if moved and moved.revision == ARGV[2] then
    return done(moved, now)
  end
  return refusal
end
if session.revision ~= ARGV[1] then
  return {CONFLICT, now, redis.call('GET', KEYS[1])}
end
session.revision = ARGV[2]
if ARGV[7] ~= '' then
  session.idle, session.absolute, session.last = tonumber(ARGV[7]), now + tonumber(ARGV[8]), now
elseif ARGV[6] == '1' then
  session.last = math.max(session.last, now)
end
if not redis.call('SET', KEYS[2], header(session) .. ARGV[3], 'PXAT', due(session), 'NX') then
  return {TAKEN, now}
end
bury(KEYS[1], ARGV[4], ARGV[5], ARGV[9])
return done(session, now)
