-- Moves a live session to another key of its bucket and writes its payload, if nobody else did since the
-- expected revision. The old key is dead in the same step.
--
-- KEYS  1 the session  2 where it goes  3 list of the bucket  4 log of the old one  5 list of its user
--       6 log of the new one  7 list of its user  8 revocation mark of its user
-- ARGV  1 expected revision  2 new revision  3 payload  4 letter of the end of the old one
--       5 ms to remember it  6 '1' if it is activity, else '0'
--       7 idle timeout (ms) and 8 absolute timeout (ms from now) if the deadlines are set anew, else ''
--       9 the new key as the mark under the old one spells it, or ''
--       10 ref of the old one  11 its user, or ''  12 note on its end, or ''
--       13 ref of the new one  14 its user, or ''  15 when they authenticated (ms), or ''
--       16 when its elevations run out (ms), or ''
--       17 size of the log of the old one  18 of the new one
--       19 how many sessions the user may have, or ''  20 '1' to make room, '0' to refuse
--       21 ms to remember a revocation  22… notes
-- Reply DONE (with those who have to go for it, as lua/create.lua), CONFLICT, GONE, NEWER, TAKEN (something is stored
--       under the new key), LIMIT, REVOKED
--
-- Where somebody has to go, the old one lives on: whoever called ends them and then, with lua/supersede.lua, the old one.
-- So it is not lost where they cannot be ended.
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
local old, user = ARGV[10], ARGV[14]
local ref = ARGV[13]
local before = {absolute = session.absolute}

local over = {}
if user ~= '' then
  if ARGV[7] ~= '' then
    -- A sign-in that is refused leaves what was there before.
    if revoked(KEYS[8], ARGV[15], ref) then
      return {REVOKED, now}
    end
    over = excess(KEYS[7], now, ARGV[19], ref, old)
    if #over > 0 and ARGV[20] == '0' then
      return {LIMIT, now}
    end
  elseif end_by_mark(KEYS[8], ARGV[15], KEYS[1], KEYS[3], KEYS[5], KEYS[4], ARGV[17], before, old, ARGV[11], ARGV[21], now) then
    return {GONE, now}
  end
end
session.revision = ARGV[2]
if ARGV[7] ~= '' then
  session.idle, session.absolute, session.last = tonumber(ARGV[7]), now + tonumber(ARGV[8]), now
elseif ARGV[6] == '1' then
  session.last = math.max(session.last, now)
end
if not redis.call('SET', KEYS[2], header(session) .. ARGV[3], 'PXAT', due(session), 'NX') then
  local made = live(KEYS[2], now)
  if made and made.revision == ARGV[2] then
    return done(made, now, over)
  end
  return {TAKEN, now}
end
if #over == 0 then
  finish(KEYS[1], old, ARGV[4], ARGV[5], ARGV[9])
  unlist(KEYS[3], KEYS[5], before, old, ARGV[11], now)
  if ARGV[12] ~= '' then
    note(KEYS[4], ARGV[17], old, ARGV[11], ARGV[12])
  end
end
list(KEYS[3], KEYS[7], session, ref, user)
list_elevation(KEYS[3], session, ref, user, ARGV[16])
for i = 22, #ARGV do
  note(KEYS[6], ARGV[18], ref, user, ARGV[i])
end
return done(session, now, over)
