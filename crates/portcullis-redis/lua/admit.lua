-- Put before the scripts that bring a session of a user into being: the limit of sessions per user.

-- Whoever has many more than a limit that is new sheds them sign-in by sign-in: no script may take for ever.
local MOST_AT_ONCE = 500

-- The refs of those who have to go, so that with one more there are no more than `most`: those that are due
-- first. `besides` is not counted. Nothing where there is room.
local function excess(users, now, most, besides)
  if most == '' then
    return {}
  end
  local refs = redis.call('ZRANGEBYSCORE', users, '(' .. now, '+inf')
  for i = #refs, 1, -1 do
    if refs[i] == besides then
      table.remove(refs, i)
    end
  end
  local over = {}
  for i = 1, math.min(#refs + 1 - tonumber(most), MOST_AT_ONCE) do
    over[i] = refs[i]
  end
  return over
end

-- Whether the caller has named the key of each. A script may touch no other keys.
local function are_declared(refs, declared)
  for _, ref in ipairs(refs) do
    if not declared[ref] then
      return false
    end
  end
  return true
end

-- The refs that the caller named, each with its key.
local function declared_from(first_key, first_ref)
  local declared = {}
  for i = 0, #KEYS - first_key do
    declared[ARGV[first_ref + i]] = KEYS[first_key + i]
  end
  return declared
end

-- Whether there is room for one more: the refs of those who have to go for it and the keys the caller named, or nil
-- and the reply that refuses. `first_key` and `first_ref` are where those whom the caller named begin.
local function room(users, now, most, may_displace, besides, first_key, first_ref)
  local over, declared = excess(users, now, most, besides), declared_from(first_key, first_ref)
  if #over == 0 or (may_displace == '1' and are_declared(over, declared)) then
    return over, declared
  end
  if may_displace == '1' then
    return nil, {LIMIT, now, unpack(over)}
  end
  return nil, {LIMIT, now}
end

-- Ends them, and adds their names to the reply.
local function displace(reply, refs, declared, due_list, users, log, log_size, user, text, memory, now)
  for _, ref in ipairs(refs) do
    local session = live(declared[ref], now)
    if session then
      bury(declared[ref], ref, 'l', memory)
      unlist(due_list, users, session, ref, user, now)
      note(log, log_size, ref, user, text)
      reply[#reply + 1] = name(ref)
    else
      redis.call('ZREM', users, ref)
    end
  end
end
