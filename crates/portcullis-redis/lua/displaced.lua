-- The second part of scripts that create a session: which other sessions of its user it displaces.

-- If a new limit is far lower than the number of sessions, several sign-ins displace them: no step
-- may take long.
local MOST_AT_ONCE = 500

-- The entries of the sessions to end, so that with `new` there are no more than `most`: those that
-- are due first. Only sessions of the class of `new` count. With `*` these are all, of every class.
-- `old` is not counted, since `new` replaces it. Empty if there is room.
local function displaced(users, now, most, new, old)
  if most == '' then
    return {}
  end
  local entries = redis.call('ZRANGEBYSCORE', users, '(' .. now, '+inf')
  local class = string.sub(new, 2, 2)
  for i = #entries, 1, -1 do
    local kind = ENTRY[string.sub(entries[i], 1, 1)]
    local counts = kind and (most == '*' or string.sub(entries[i], 2, 2) == class)
    if not counts or entries[i] == new or entries[i] == old then
      table.remove(entries, i)
    end
  end
  if most == '*' then
    return entries
  end
  local displaced_entries = {}
  for i = 1, math.min(#entries + 1 - tonumber(most), MOST_AT_ONCE) do
    displaced_entries[i] = entries[i]
  end
  return displaced_entries
end
