-- Put before every script: the clock, what a live session is, and the first element of every reply.
--
-- Every reply is a list: what came of it, the server's time in ms, and then
--   DONE      absolute deadline (ms), idle timeout (ms), last activity (ms)
--   CONFLICT  the record as it is stored now
--   MOVED     the key that the session was moved to, as its mark spells it
--   others    nothing

local GONE, DONE, CONFLICT, TAKEN, NEWER, MOVED = 0, 1, 2, 3, 4, 5

-- Expiry is decided by this clock and no other.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function due(session)
  return math.min(session.last + session.idle, session.absolute)
end

-- The session under `key` if it is live, or nil and the reply for a session that is not, and what was found
-- in its place, which may be the mark of an end.
-- The header decides, not the key's existence: a key may lose its TTL, a session never its deadline.
local function live(key, now)
  local header = redis.pcall('GETRANGE', key, 0, 38)
  if type(header) ~= 'string' then
    if string.find(header.err, 'WRONGTYPE', 1, true) then
      return nil, {GONE, now}
    end
    error(header.err)
  end
  if string.find(header, '^[2-9]') then
    return nil, {NEWER, now}
  end
  if #header ~= 39 or not string.find(header, '^1[0-9a-f]+$') then
    return nil, {GONE, now}, header
  end
  local session = {
    absolute = tonumber(string.sub(header, 2, 12), 16),
    idle = tonumber(string.sub(header, 13, 20), 16),
    last = tonumber(string.sub(header, 21, 31), 16),
    revision = string.sub(header, 32, 39),
  }
  if now >= due(session) then
    return nil, {GONE, now}
  end
  return session
end

local function header(session)
  return string.format('1%011x%08x%011x', session.absolute, session.idle, session.last) .. session.revision
end

local function done(session, now)
  return {DONE, now, session.absolute, session.idle, session.last}
end

-- Ends the session under `key` and remembers why for `memory` ms, and where it lives on if it does. The
-- removal comes first: it is allowed when memory is full, and the end must hold even where the reason can no
-- longer be written down.
local function bury(key, code, memory, successor)
  redis.call('DEL', key)
  redis.pcall('SET', key, '-' .. code .. (successor or ''), 'PX', memory)
end
