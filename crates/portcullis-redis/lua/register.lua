-- Records in the registry that a realm is in use, unless that contradicts its entry.
--
-- An entry has these words, with a space between two of them:
--   the longest absolute timeout that was registered (ms)
--   when it was registered last (ms)
--   the environment, or `-`
--   the classes, each as its character, `=` and its name, with a comma between two; or `-`
--   the name of the cookie
--
-- KEYS  1 the registry
-- ARGV  1 the realm  2 the name of its cookie  3 its longest absolute timeout (ms)
--       4 its environment, or `-`  5 its classes, as in an entry
--       6 for how long after its registration sessions of the realm may begin (ms)
-- Reply GONE, which only means that it was recorded
--       CONFLICT with the entry that it contradicts; nothing was changed
--       NEWER if the entry is of a later version

local now = clock()
local longest, environment, classes = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry then
  local before, seen, recorded, known = string.match(entry, '^(%d+) (%d+) (%S+) (%S+) %S')
  if not before then
    return {NEWER, now}
  end
  -- Without a session that can be live, the realm begins anew.
  if now < seen + before + ARGV[6] then
    if recorded ~= '-' and recorded ~= environment then
      return {CONFLICT, now, entry}
    end
    local names, codes = {}, {}
    for code, name in string.gmatch(known, '(%w)=([^,]+)') do
      names[code], codes[name] = name, code
    end
    for code, name in string.gmatch(classes, '(%w)=([^,]+)') do
      if (names[code] or name) ~= name or (codes[name] or code) ~= code then
        return {CONFLICT, now, entry}
      end
      if not names[code] then
        known = (known == '-' and '' or known .. ',') .. code .. '=' .. name
      end
    end
    longest, classes = math.max(longest, tonumber(before)), known
  end
end
redis.call('HSET', KEYS[1], ARGV[1],
  string.format('%d %d %s %s %s', longest, now, environment, classes, ARGV[2]))
return {GONE, now}
