-- Put before every script: the clock, what a live session is, the lists it is in, and the replies.
--
-- Every reply is a list: what came of it, the server's time in ms, and then
--   DONE      absolute deadline (ms), idle timeout (ms), last activity (ms), refs of those that have to go for it
--   CONFLICT  the record as it is stored now
--   MOVED     the key that the session was moved to, as its mark spells it
--   LISTED    how many were looked at, and refs of sessions
--   ENDED     names of the sessions that were ended
--   EXPIRED   the members that were over, each followed by the letter of its reason and its deadline (ms)
--   others    nothing
--
-- A name is the 12 bytes of a handle. A ref is the 16 bytes of a key's digest and then the name: what the
-- list of a user holds, scored by when the session is due. The list of a bucket, by which the expired are
-- found, holds `s`, the ref, the absolute deadline as 11 hex digits and the user; and the same with `e`,
-- scored by when the elevations of the session run out, while there are any.

local GONE, DONE, CONFLICT, TAKEN, NEWER, MOVED, LIMIT, REVOKED = 0, 1, 2, 3, 4, 5, 6, 7
local LISTED, ENDED, EXPIRED = 8, 9, 10

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
  -- One byte more than a header and the longest mark have, so that no mark is taken for one that it begins with.
  local found = redis.pcall('GETRANGE', key, 0, 39)
  if type(found) ~= 'string' then
    if string.find(found.err, 'WRONGTYPE', 1, true) then
      return nil, {GONE, now}
    end
    error(found.err)
  end
  if string.find(found, '^[2-9]') then
    return nil, {NEWER, now}
  end
  local header = string.sub(found, 1, 39)
  if #header ~= 39 or not string.find(header, '^1[0-9a-f]+$') then
    return nil, {GONE, now}, found
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

local function done(session, now, over)
  return {DONE, now, session.absolute, session.idle, session.last, unpack(over or {})}
end

local function name(ref)
  return string.sub(ref, 17, 28)
end

-- Ends the session under `key` and remembers why for `memory` ms, what its name was, and where it lives on if it
-- does; or, as `!`, that whoever revoked it is to be told. With a memory of 0 nothing is left. The removal comes
-- first: it is allowed when memory is full, and the end must hold even where the reason can no longer be written
-- down.
local function bury(key, ref, code, memory, successor)
  redis.call('DEL', key)
  if memory ~= '0' then
    redis.pcall('SET', key, '-' .. code .. name(ref) .. (successor or ''), 'PX', memory)
  end
end

-- The same to a session whose time is not over, and tells those who watch it, on whatever server, by the name. It is a
-- hint to look at the session, so a server that forbids it changes nothing. They know the deadlines themselves.
local function finish(key, ref, code, memory, successor)
  bury(key, ref, code, memory, successor)
  redis.pcall('PUBLISH', string.match(key, '^[^{]*') .. 'ended', name(ref))
end

-- What the list of the bucket holds of a session, but for the letter in front.
local function member(session, ref, user)
  return ref .. string.format('%011x', session.absolute) .. user
end

-- Puts a live session into the lists, or moves it there to where it is due now. Every activity does so: a list that
-- was lost is made anew by those who are active.
local function list(due_list, users, session, ref, user)
  redis.call('ZADD', due_list, due(session), 's' .. member(session, ref, user))
  if user ~= '' then
    redis.call('ZADD', users, due(session), ref)
  end
end

local function list_elevation(due_list, session, ref, user, ends_at)
  if ends_at ~= '' then
    redis.call('ZADD', due_list, ends_at, 'e' .. member(session, ref, user))
  end
end

-- An elevation that is over already stays, to be told of.
local function unlist(due_list, users, session, ref, user, now)
  local listed = member(session, ref, user)
  redis.call('ZREM', due_list, 's' .. listed)
  local ends_at = redis.call('ZSCORE', due_list, 'e' .. listed)
  if ends_at and tonumber(ends_at) > now then
    redis.call('ZREM', due_list, 'e' .. listed)
  end
  if user ~= '' then
    redis.call('ZREM', users, ref)
  end
end

-- Leaves a note in a log of at most about `most` events; of none, if it is 0. `at` is for what happened before
-- now. Never the first write of a script: it needs memory.
local function note(log, most, ref, user, text, at)
  if most ~= '0' then
    redis.pcall('XADD', log, 'MAXLEN', '~', most, '*', 's', name(ref), 'u', user, 'n', text, 't', at or '')
  end
end

-- The letter of the reason for which all sessions of a user were revoked, if that concerns this one, and the note
-- to leave. The mark is a moment before which all were revoked, one before which all were but for one (both 11 hex
-- digits), the letter, the name of that one (or twelve zero bytes), and the note.
local function revoked(mark, since, ref)
  if since == '' then
    return nil
  end
  local found = redis.call('GETRANGE', mark, 0, -1)
  if found == '' then
    return nil
  end
  since = tonumber(since)
  local kept = string.sub(found, 24, 35) == name(ref)
  if since >= tonumber(string.sub(found, 1, 11), 16) and (kept or since >= tonumber(string.sub(found, 12, 22), 16)) then
    return nil
  end
  return string.sub(found, 23, 23), string.sub(found, 36)
end

-- Ends a session that a revocation of all missed, and leaves the note that the mark has for it. Whoever revoked it
-- is to be told. Returns whether it was ended.
local function end_by_mark(mark, since, key, due_list, users, log, log_size, session, ref, user, memory, now)
  local letter, text = revoked(mark, since, ref)
  if not letter then
    return false
  end
  finish(key, ref, letter, memory, '!')
  unlist(due_list, users, session, ref, user, now)
  note(log, log_size, ref, user, text)
  return true
end
