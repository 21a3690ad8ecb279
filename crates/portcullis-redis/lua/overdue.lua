-- Finds a session among the members that are due in a bucket, the latest first. Changes nothing.
--
-- KEYS  1 list of the bucket
-- ARGV  1 digest of the session's key  2 how many members to check at most
-- Reply LISTED, with the member, if it was found

-- Where a member has the digest: after its tag, its kind and its class.
local DIGEST_AT = 4
local STEP = 100

local function is_of(member, digest)
  return string.find(member, digest, 1, true) == DIGEST_AT and string.sub(member, 1, 1) == 's'
end

local now = clock()
local digest, most, seen = ARGV[1], tonumber(ARGV[2]), 0
while seen < most do
  local step = math.min(STEP, most - seen)
  local members = redis.call('ZRANGE', KEYS[1], now, '-inf', 'BYSCORE', 'REV', 'LIMIT', seen, step)
  for i = 1, #members do
    if is_of(members[i], digest) then
      return {LISTED, now, seen + i, members[i]}
    end
  end
  seen = seen + #members
  if #members < step then
    break
  end
end
return {LISTED, now, seen}
