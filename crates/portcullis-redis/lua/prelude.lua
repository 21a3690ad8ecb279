-- The beginning of every script: the clock, live sessions, the lists, the log and the replies.
--
-- Every reply is a list: a code, the server's time in ms, and then
--   DONE      absolute deadline (ms), idle timeout (ms), last activity (ms), last privileged
--             activity (ms), and entries of displaced sessions
--   CONFLICT  the record as it is stored now
--   MOVED     the key that the session was moved to, as its tombstone has it, or its digest alone
--             if it is in this bucket
--   LISTED    how many items were checked, and entries of sessions
--   ENDED     names of the ended sessions
--   EXPIRED   the expired members, each followed by the code of its reason and its deadline (ms)
--   others    nothing
--
-- A name is the 12 bytes of a handle. An entry is a session in the list of its user, scored by when
-- it is due:
--   kind (l local, f federated)  class  digest of the key (16)  name (12)
--   tag of the provider (16, f only)
-- A member is a session in the list of its bucket, by which expired sessions are found:
--   s  entry  absolute deadline (11 hex)  user
-- While the session has elevations there is a second member with `e`, scored by when they end.
-- Entries and members of another kind belong to a later version and are left alone.

local GONE, DONE, CONFLICT, TAKEN, NEWER, MOVED, LIMIT, REVOKED = 0, 1, 2, 3, 4, 5, 6, 7
local LISTED, ENDED, EXPIRED, LATE, LOST, SUSPENDED = 8, 9, 10, 11, 12, 13

-- The length of an entry, by its kind.
local ENTRY = {l = 30, f = 46}

-- How many bytes of a record are read: more than a header and more than the longest tombstone.
local HEADER = 54
local READ = 79

-- The time in ms. Expiry is decided by this clock and no other.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether the caller has given up. A script that grants something then does nothing.
local function is_late(not_after, now)
  return now > tonumber(not_after)
end

-- When a session expires unless it is used.
local function due(session)
  return math.min(session.last + session.idle, session.absolute)
end

-- The session under `key` if it is live. Otherwise nil, the reply for a session that is not live,
-- and the value found in its place, which may be a tombstone. The header decides, not the existence
-- of the key: a key may lose its TTL, a session never loses its deadline.
local function live(key, now)
  local found = redis.pcall('GETRANGE', key, 0, READ)
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

-- Gives a session another idle timeout (ms) and an earlier absolute deadline (ms). Each may be ''.
local function limit(session, idle, absolute)
  session.idle = tonumber(idle) or session.idle
  session.absolute = math.min(session.absolute, tonumber(absolute) or session.absolute)
end

-- Moves the moments of activity to now, and returns whether there was any. The kinds of activity:
--   0     none
--   1     activity
--   p…    privileged activity, with the privileged idle timeout (ms). What has ended stays ended.
--   !     a proof of identity
local function act(session, activity, now)
  if activity == '0' then
    return false
  end
  session.last = math.max(session.last, now)
  local idle = tonumber(string.match(activity, '^p(%d+)$'))
  if activity == '!' or (idle and now < session.privileged + idle) then
    session.privileged = math.max(session.privileged, now)
  end
  return true
end

local function header(session)
  return string.format('1%011x%09x%011x%011x', session.absolute, session.idle, session.last, session.privileged)
    .. session.class .. session.gap .. session.flag .. session.revision
end

local function done(session, now, displaced_entries)
  local reply = {DONE, now, session.absolute, session.idle, session.last, session.privileged}
  -- `unpack` takes no more than some 8000.
  for _, entry in ipairs(displaced_entries or {}) do
    reply[#reply + 1] = entry
  end
  return reply
end

-- The name in an entry.
local function name(entry)
  return string.sub(entry, 19, 30)
end

-- The parts of a member: tag, entry, absolute deadline and user. Nil for a member of a later
-- version.
local function parts(member)
  local length = ENTRY[string.sub(member, 2, 2)]
  if not length or not string.find(member, '^[se]') then
    return nil
  end
  local entry = string.sub(member, 2, 1 + length)
  local absolute = tonumber(string.sub(member, 2 + length, 12 + length), 16)
  return string.sub(member, 1, 1), entry, absolute, string.sub(member, 13 + length)
end

-- Removes the session under `key` and writes a tombstone for `memory` ms, with the reason and the
-- name. With a memory of 0 it writes none. `more` are fields of the tombstone:
--   >  the key under which the session continues
--   =  the revision of the write that replaced it
--   !  a revocation ended it and has not reported it yet
--   @  its last activity
-- The removal comes first. It is allowed when memory is full, and the end must hold even if the
-- reason cannot be stored.
local function write_tombstone(key, entry, code, memory, more)
  redis.call('DEL', key)
  if memory ~= '0' then
    redis.pcall('SET', key, '-' .. code .. name(entry) .. (more or ''), 'PX', memory)
  end
end

-- The value of a field of a tombstone, or nil. Reading stops at a field of a later version.
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

-- Publishes the name of a session, for all servers that watch it: it has ended, or ends earlier. The
-- message is a hint to load the session, so it may be forbidden or lost. Watchers know the deadlines
-- without it.
local function announce(key, entry)
  redis.pcall('PUBLISH', string.match(key, '^[^{]*') .. 'ended', name(entry))
end

-- Ends a live session: writes its tombstone and announces that.
local function end_session(key, entry, code, memory, more)
  write_tombstone(key, entry, code, memory, more)
  announce(key, entry)
end

-- The member of a session without its tag.
local function member(session, entry, user)
  return entry .. string.format('%011x', session.absolute) .. user
end

-- Adds a live session to the lists, or moves it to when it is due now. Every activity does so. So
-- active sessions restore a list that was lost.
local function list(due_list, users, session, entry, user)
  redis.call('ZADD', due_list, due(session), 's' .. member(session, entry, user))
  if user ~= '' then
    redis.call('ZADD', users, due(session), entry)
  end
end

-- Removes entries from the list of a user that expired long ago. The list of the bucket has lost
-- them, so no sweep removes them.
local LOST_FOR = 86400000
local function remove_lost(users, user, now)
  if user ~= '' then
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', users, '-inf', now - LOST_FOR)) do
      if ENTRY[string.sub(entry, 1, 1)] then
        redis.call('ZREM', users, entry)
      end
    end
  end
end

-- Adds the end of the elevations of a session to the list of the bucket.
local function list_elevation(due_list, session, entry, user, ends_at)
  if ends_at ~= '' then
    redis.call('ZADD', due_list, ends_at, 'e' .. member(session, entry, user))
  end
end

-- Removes a session from the lists. An elevation that has ended stays, to be reported.
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

-- A log is trimmed when it exceeds its size by half, or by this many entries.
local SLACK = 200
-- How many of the oldest entries one step checks. These are all entries of a log that should have
-- no more than 400.
local CHECKED = 600

-- How many entries each owner may keep so that at most `left` are left. Owners with no more lose
-- none.
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

-- Picks `excess` of these entries: the oldest entries of the owners with the most. An entry belongs
-- to its user, or to its session if it has no user.
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
  -- The remainder of the division goes to the owners of newer entries.
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

-- Whether a log takes more than twice the memory that `count` entries such as these need. The
-- server frees whole nodes of 4096 bytes, and a single entry keeps its node.
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

-- Writes a log anew, without the picked ones of its oldest entries. The entries keep their numbers.
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

-- Removes the picked ones of its oldest entries from a log.
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

-- Trims a log with too many entries to `most`. With `compact` it frees memory even if there are not
-- too many. Owners with no more than a fair share of the checked entries lose none.
local function trim(log, most, compact)
  local length = redis.call('XLEN', log)
  local excess = length - most
  if excess <= math.min(math.ceil(most / 2), SLACK) then
    if not compact then
      return
    end
    excess = 0
  end
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', CHECKED)
  excess = math.min(excess, CHECKED / 2)
  local picked = pick(oldest, excess)
  if is_sparse(log, length - excess, oldest) then
    rewrite(log, oldest, picked)
  else
    remove(log, oldest, picked)
  end
end

-- Adds an entry to a log of about `most` entries, unless `most` is 0. Readers find fields by name,
-- scripts by their order.
local function append(log, most, session, user, text, at, ...)
  most = tonumber(most)
  if most > 0 then
    -- The server's own bound is for the case that trimming fails.
    redis.call('XADD', log, 'MAXLEN', '~', 2 * most + SLACK, '*', 's', session, 'u', user, 'n', text, 't', at, ...)
    trim(log, most)
  end
end

-- Writes a note of a change to the log. `at` is the time of a change before now. It must not be the
-- first write of a script: it needs memory. If it is refused, the change stays.
local function note(log, most, entry, user, text, at)
  pcall(append, log, most, name(entry), user, text, at or '')
end

-- A revocation marker of a user has the moment up to which all sessions were revoked, the moment up
-- to which all but one were revoked, the code of the reason, the name of that one (or twelve zero
-- bytes), and the note for the log:
--   1  all (11 hex)  but one (11 hex)  code  name (12)  note
local NO_SESSION = string.rep('\0', 12)

-- The marker, nil if there is none, or false if a later version wrote it.
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

-- The marker, if it revokes a session whose user authenticated at `authenticated_at`. The very
-- moment of the revocation counts as before it. False if a later version wrote the marker.
local function revoked(key, authenticated_at, entry)
  if authenticated_at == '' then
    return nil
  end
  local found = marker(key)
  if not found then
    return found
  end
  authenticated_at = tonumber(authenticated_at)
  if authenticated_at > found.all and (found.kept == name(entry) or authenticated_at > found.but_one) then
    return nil
  end
  return found
end

-- Sets the marker: revokes up to `moment` all sessions of a user but the one with the name `kept`.
-- A marker is never weakened. A session that an earlier revocation did not keep is not kept by this
-- one. The moment does not move back with the server's clock, and the marker is stored at least as
-- long as before. DEL comes first: after it, SET is not refused when memory is full. Returns false,
-- and sets nothing, if a later version wrote the marker.
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
  if kept == NO_SESSION then
    all = but_one
  end
  memory = math.max(tonumber(memory), redis.call('PTTL', key))
  redis.call('DEL', key)
  redis.call('SET', key, string.format('1%011x%011x', all, but_one) .. code .. kept .. text, 'PX', memory)
  return true
end

-- The suspension of a user has the moment since when they are suspended, the code of the reason for
-- which their sessions end, the note for the log about each such end (after its length), and why
-- they were suspended. It has no TTL:
--   1  since (11 hex)  code  length (8 hex)  note  why
--
-- The function returns the suspension. If there is none, it returns nil. If a later version wrote it,
-- it returns false.
local function suspension(key)
  local found = redis.call('GETRANGE', key, 0, -1)
  if found == '' then
    return nil
  end
  if not string.find(found, '^1[0-9a-f]+') or #found < 21 then
    return false
  end
  local length = tonumber(string.sub(found, 14, 21), 16)
  return {
    since = tonumber(string.sub(found, 2, 12), 16),
    code = string.sub(found, 13, 13),
    note = string.sub(found, 22, 21 + (length or 0)),
  }
end

-- Ends a session that a suspension or a revocation has missed, and writes its note to the log. The
-- next revocation then reports the session. Returns the reply, or nil if the session may stay.
local function end_if_forbidden(suspension_key, marker_key, authenticated_at, key, due_list, users, log, log_size, session, entry, user, memory, now)
  if user == '' then
    return nil
  end
  local found = suspension(suspension_key)
  if found == nil then
    found = revoked(marker_key, authenticated_at, entry)
  end
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
