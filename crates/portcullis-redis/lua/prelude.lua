-- Put before every script: the clock, what a live session is, the lists it is in, and the replies.
--
-- Every reply is a list: what came of it, the server's time in ms, and then
--   DONE      absolute deadline (ms), idle timeout (ms), last activity (ms), entries of those that have to end for it
--   CONFLICT  the record as it is stored now
--   MOVED     the key that the session was moved to, as its tombstone spells it, or its digest where it is in this bucket
--   LISTED    how many were looked at, and entries of sessions
--   ENDED     names of the sessions that were ended
--   EXPIRED   the members that were over, each followed by the code of its reason and its deadline (ms)
--   others    nothing
--
-- A name is the 12 bytes of a handle. An entry is what the list of a user holds of a session, scored by when it is due:
--   kind (l local, f federated)  class  digest of the key (16)  name (12)  tag of the identity provider (16, f only)
-- A member is what the list of a bucket holds, by which the expired are found:
--   s  entry  absolute deadline (11 hex)  user
-- and the same with `e`, scored by when the elevations of the session end, while there are any.
-- Entries and members of another kind belong to a later version. They are left alone.

local GONE, DONE, CONFLICT, TAKEN, NEWER, MOVED, LIMIT, REVOKED = 0, 1, 2, 3, 4, 5, 6, 7
local LISTED, ENDED, EXPIRED, LATE, LOST = 8, 9, 10, 11, 12

-- How long an entry is, by its kind.
local ENTRY = {l = 30, f = 46}

-- How many bytes of a record tell what it is: more than a header and more than the longest tombstone.
local HEADER = 54
local LOOK = 79

-- Expiry is decided by this clock and no other.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether the caller no longer waits. What grants something then does nothing.
local function is_late(not_after, now)
  return now > tonumber(not_after)
end

local function due(session)
  return math.min(session.last + session.idle, session.absolute)
end

-- The session under `key` if it is live, or nil and the reply for a session that is not, and what was found
-- in its place, which may be a tombstone.
-- The header decides, not the key's existence: a key may lose its TTL, a session never its deadline.
local function live(key, now)
  local found = redis.pcall('GETRANGE', key, 0, LOOK)
  if type(found) ~= 'string' then
    if string.find(found.err, 'WRONGTYPE', 1, true) then
      return nil, {GONE, now}
    end
    error(found.err)
  end
  if string.find(found, '^[2-9]') then
    return nil, {NEWER, now}
  end
  local header = string.sub(found, 1, HEADER)
  if #header ~= HEADER or not string.find(header, '^1[0-9a-f]+%w%w[01][0-9a-f]+$') then
    return nil, {GONE, now}, found
  end
  local session = {
    absolute = tonumber(string.sub(header, 2, 12), 16),
    idle = tonumber(string.sub(header, 13, 21), 16),
    last = tonumber(string.sub(header, 22, 32), 16),
    privileged = tonumber(string.sub(header, 33, 43), 16),
    class = string.sub(header, 44, 44),
    gap = string.sub(header, 45, 45),
    flag = string.sub(header, 46, 46),
    revision = string.sub(header, 47, 54),
  }
  if not (session.absolute and session.idle and session.last and session.privileged) then
    return nil, {GONE, now}, found
  end
  if now >= due(session) then
    return nil, {GONE, now}
  end
  return session
end

local function header(session)
  return string.format('1%011x%09x%011x%011x', session.absolute, session.idle, session.last, session.privileged)
    .. session.class .. session.gap .. session.flag .. session.revision
end

local function done(session, now, over)
  return {DONE, now, session.absolute, session.idle, session.last, unpack(over or {})}
end

local function name(entry)
  return string.sub(entry, 19, 30)
end

-- The parts of a member: tag, entry, absolute deadline and user. Nothing for one of a later version.
local function parts(member)
  local length = ENTRY[string.sub(member, 2, 2)]
  if not length or not string.find(member, '^[se]') then
    return nil
  end
  local entry = string.sub(member, 2, 1 + length)
  local absolute = tonumber(string.sub(member, 2 + length, 12 + length), 16)
  return string.sub(member, 1, 1), entry, absolute, string.sub(member, 13 + length)
end

-- Ends the session under `key` and remembers why for `memory` ms, and what its name was. `more` are fields of the
-- tombstone: `>` and the key it lives on under, `=` and the revision of the write that replaced it, `!` where the one
-- who revoked it has not been notified yet, `@` and its last activity. With a memory of 0 nothing is left. The removal
-- comes first: it is allowed when memory is full, and the end must hold even where the reason can no longer be stored.
local function write_tombstone(key, entry, code, memory, more)
  redis.call('DEL', key)
  if memory ~= '0' then
    redis.pcall('SET', key, '-' .. code .. name(entry) .. (more or ''), 'PX', memory)
  end
end

-- The value of a field of a tombstone, if it has the field.
local TOMBSTONE_FIELDS = {['>'] = 25, ['='] = 8, ['!'] = 0, ['@'] = 11}
local function field(tombstone, wanted)
  local at = 15
  while at <= #tombstone do
    local tag = string.sub(tombstone, at, at)
    local length = TOMBSTONE_FIELDS[tag]
    if not length then
      return nil
    end
    if tag == wanted then
      return string.sub(tombstone, at + 1, at + length)
    end
    at = at + 1 + length
  end
  return nil
end

-- The same to a session whose time is not over, and tells those who watch it, on whatever server, by the name. It is a
-- hint to look at the session, so a server that forbids it changes nothing. They know the deadlines themselves.
local function end_session(key, entry, code, memory, more)
  write_tombstone(key, entry, code, memory, more)
  redis.pcall('PUBLISH', string.match(key, '^[^{]*') .. 'ended', name(entry))
end

-- What the list of the bucket holds of a session, but for the tag in front.
local function member(session, entry, user)
  return entry .. string.format('%011x', session.absolute) .. user
end

-- Puts a live session into the lists, or moves it there to where it is due now. Every activity does so: a list that
-- was lost is made anew by those who are active.
local function list(due_list, users, session, entry, user)
  redis.call('ZADD', due_list, due(session), 's' .. member(session, entry, user))
  if user ~= '' then
    redis.call('ZADD', users, due(session), entry)
  end
end

-- What the list of a bucket has lost is in nobody's way: it leaves the list of its user when the user comes back.
local FORGOTTEN = 86400000
local function forget(users, user, now)
  if user ~= '' then
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', users, '-inf', now - FORGOTTEN)) do
      if ENTRY[string.sub(entry, 1, 1)] then
        redis.call('ZREM', users, entry)
      end
    end
  end
end

local function list_elevation(due_list, session, entry, user, ends_at)
  if ends_at ~= '' then
    redis.call('ZADD', due_list, ends_at, 'e' .. member(session, entry, user))
  end
end

-- An elevation that is over already stays, to be reported.
local function unlist(due_list, users, session, entry, user, now)
  local listed = member(session, entry, user)
  redis.call('ZREM', due_list, 's' .. listed)
  local ends_at = redis.call('ZSCORE', due_list, 'e' .. listed)
  if ends_at and tonumber(ends_at) > now then
    redis.call('ZREM', due_list, 'e' .. listed)
  end
  if user ~= '' then
    redis.call('ZREM', users, entry)
  end
end

-- A log is trimmed when it holds half as many entries again as it should, or this many more.
local SLACK = 200
-- Entries that one step looks at, the oldest: all there are where the log should hold no more than 400.
local LOOKED_AT = 600

-- How many entries each owner keeps so that at most `left` are left: owners that hold no more lose none.
local function fair_share(held, left)
  local counts = {}
  for _, count in pairs(held) do
    counts[#counts + 1] = count
  end
  table.sort(counts)
  local share = 0
  for i, count in ipairs(counts) do
    share = math.floor(left / (#counts - i + 1))
    if count > share then
      break
    end
    left = left - count
  end
  return share
end

-- Picks `excess` of these entries, the oldest of the owners that hold most. An entry belongs to its user, or to its
-- session if it has no user.
local function pick(entries, excess)
  local owners, held = {}, {}
  for i, entry in ipairs(entries) do
    local fields = entry[2]
    local owner = fields[4] ~= '' and fields[4] or fields[2]
    owners[i] = owner
    held[owner] = (held[owner] or 0) + 1
  end
  local share = fair_share(held, #entries - excess)
  local picked = {}
  -- What the shares leave over is kept by those whose entries are newer.
  for keep = share + 1, share, -1 do
    for i, owner in ipairs(owners) do
      if excess == 0 then
        return picked
      end
      if held[owner] > keep and not picked[i] then
        held[owner] = held[owner] - 1
        picked[i] = true
        excess = excess - 1
      end
    end
  end
  return picked
end

-- Whether a log takes more than twice the room that `count` entries such as these need. The server frees nodes of 4096
-- bytes, and a single entry keeps its node.
local function is_sparse(log, count, entries)
  local info, nodes = redis.call('XINFO', 'STREAM', log), 0
  for i = 1, #info, 2 do
    if info[i] == 'radix-tree-keys' then
      nodes = info[i + 1]
    end
  end
  -- The shortest entries have 50 bytes.
  if nodes <= 8 + count / 40 then
    return false
  end
  local bytes = 0
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    for i = 2, #fields, 2 do
      bytes = bytes + #fields[i] + 8
    end
  end
  return nodes > 8 + bytes / #entries * count / 2048
end

-- Writes a log anew, without those of its oldest entries that were picked. Numbers of entries stay what they are.
local function rewrite(log, oldest, picked)
  local newer = redis.call('XRANGE', log, '(' .. oldest[#oldest][1], '+')
  redis.call('DEL', log)
  for i, entry in ipairs(oldest) do
    if not picked[i] then
      redis.call('XADD', log, entry[1], unpack(entry[2]))
    end
  end
  for _, entry in ipairs(newer) do
    redis.call('XADD', log, entry[1], unpack(entry[2]))
  end
end

-- Removes those of its oldest entries that were picked from a log.
local function remove(log, oldest, picked)
  local first, others = 1, {}
  while picked[first] do
    first = first + 1
  end
  if first > 1 then
    redis.call('XTRIM', log, 'MINID', oldest[first][1])
  end
  for i = first, #oldest do
    if picked[i] then
      others[#others + 1] = oldest[i][1]
    end
  end
  if #others > 0 then
    redis.call('XDEL', log, unpack(others))
  end
end

-- Trims a log that holds too many entries to `most`; with `look`, also frees room where it does not. Owners that hold no
-- more than a fair share of what is looked at lose nothing.
local function trim(log, most, look)
  local length = redis.call('XLEN', log)
  local excess = length - most
  if excess <= math.min(math.ceil(most / 2), SLACK) then
    if not look then
      return
    end
    excess = 0
  end
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', LOOKED_AT)
  excess = math.min(excess, LOOKED_AT / 2)
  local picked = pick(oldest, excess)
  if is_sparse(log, length - excess, oldest) then
    rewrite(log, oldest, picked)
  else
    remove(log, oldest, picked)
  end
end

-- Adds an entry to a log of about `most`; to none, if it is 0. Readers go by the names of fields, scripts by their order.
local function append(log, most, session, user, text, at, ...)
  most = tonumber(most)
  if most > 0 then
    -- The server's own bound is for where trimming fails.
    redis.call('XADD', log, 'MAXLEN', '~', 2 * most + SLACK, '*', 's', session, 'u', user, 'n', text, 't', at, ...)
    trim(log, most)
  end
end

-- Leaves a note of a change. `at` is for what happened before now. Never the first write of a script: it needs memory.
-- What is refused does not undo the change.
local function note(log, most, entry, user, text, at)
  pcall(append, log, most, name(entry), user, text, at or '')
end

-- A revocation marker of a user: the moment up to which all sessions were revoked, the moment up to which all were but
-- one, the code of the reason, the name of that one (or twelve zero bytes), and the note to leave:
--   1  all (11 hex)  but one (11 hex)  code  name (12)  note
local NOBODY = string.rep('\0', 12)

-- The marker, nothing where there is none, or false where a later version wrote it.
local function marker(key)
  local found = redis.call('GETRANGE', key, 0, -1)
  if found == '' then
    return nil
  end
  if not string.find(found, '^1[0-9a-f]+') or #found < 36 then
    return false
  end
  return {
    all = tonumber(string.sub(found, 2, 12), 16),
    but_one = tonumber(string.sub(found, 13, 23), 16),
    code = string.sub(found, 24, 24),
    kept = string.sub(found, 25, 36),
    note = string.sub(found, 37),
  }
end

-- The marker, if the sessions of a user who authenticated at `since` were revoked: at that very moment counts as before
-- it. False where a later version wrote the marker.
local function revoked(key, since, entry)
  if since == '' then
    return nil
  end
  local found = marker(key)
  if not found then
    return found
  end
  since = tonumber(since)
  if since > found.all and (found.kept == name(entry) or since > found.but_one) then
    return nil
  end
  return found
end

-- Revokes up to `moment` all sessions of a user but the one called `kept`. A marker is never weakened: a session that
-- was not kept the last time is not kept by this one either. Nor does it move back when the server's clock does, and it
-- is kept at least as long as before. DEL comes first: after it, SET is not refused when memory is full. Says whether it
-- could, which it cannot where a later version wrote the marker.
local function revoke_up_to(key, moment, kept, code, text, memory)
  local old = marker(key)
  if old == false then
    return false
  end
  local all, but_one = 0, moment
  if old then
    all = old.kept == kept and old.all or old.but_one
    but_one = math.max(moment, old.but_one)
  end
  if kept == NOBODY then
    all = but_one
  end
  memory = math.max(tonumber(memory), redis.call('PTTL', key))
  redis.call('DEL', key)
  redis.call('SET', key, string.format('1%011x%011x', all, but_one) .. code .. kept .. text, 'PX', memory)
  return true
end

-- Ends a session that a revocation of all missed, and leaves the note that the marker has for it. The one who revoked it
-- is to be notified. Returns the reply then.
local function end_by_marker(marker_key, since, key, due_list, users, log, log_size, session, entry, user, memory, now)
  local found = revoked(marker_key, since, entry)
  if found == nil then
    return nil
  end
  if not found then
    return {NEWER, now}
  end
  end_session(key, entry, found.code, memory, '!')
  unlist(due_list, users, session, entry, user, now)
  note(log, log_size, entry, user, found.note)
  return {GONE, now}
end
