-- Put before the scripts that bring a session of a user into being: the limit of sessions per user.

-- Whoever has many more than a limit that is new sheds them sign-in by sign-in: no step may take for ever.
local MOST_AT_ONCE = 500

-- The refs of those who have to go, so that with `new` there are no more than `most`: those that are due
-- first. `old`, which makes room by itself, is not counted. Nothing where there is room.
local function excess(users, now, most, new, old)
  if most == '' then
    return {}
  end
  local refs = redis.call('ZRANGEBYSCORE', users, '(' .. now, '+inf')
  for i = #refs, 1, -1 do
    if refs[i] == new or refs[i] == old then
      table.remove(refs, i)
    end
  end
  local over = {}
  for i = 1, math.min(#refs + 1 - tonumber(most), MOST_AT_ONCE) do
    over[i] = refs[i]
  end
  return over
end
