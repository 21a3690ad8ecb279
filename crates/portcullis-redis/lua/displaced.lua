-- Put before the scripts that bring a session of a user into being: which other sessions have to end for it.

-- A user who has many more than a limit that is new loses them sign-in by sign-in: no step may take for ever.
local MOST_AT_ONCE = 500

-- The entries of those that have to end so that with `new` there are no more than `most`: those that are due first.
-- All of them where `most` is `*`. `old`, which makes room by itself, is not counted. Nothing where there is room.
local function displaced(users, now, most, new, old)
  if most == '' then
    return {}
  end
  local entries = redis.call('ZRANGEBYSCORE', users, '(' .. now, '+inf')
  for i = #entries, 1, -1 do
    if entries[i] == new or entries[i] == old or not ENTRY[string.sub(entries[i], 1, 1)] then
      table.remove(entries, i)
    end
  end
  if most == '*' then
    return entries
  end
  local over = {}
  for i = 1, math.min(#entries + 1 - tonumber(most), MOST_AT_ONCE) do
    over[i] = entries[i]
  end
  return over
end
