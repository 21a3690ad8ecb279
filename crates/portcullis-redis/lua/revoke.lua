-- Ends sessions of a user.
--
-- KEYS  1 list of the bucket  2 log  3 list of the user  4… the sessions
-- ARGV  1 code of the reason  2 ms to remember it  3 note  4 size of the log
--       5 user, and then the entries of 4…
-- Reply ENDED, with '1' in front if a session of a newer version was left alone, else '0'
--
-- The first write is a DEL or a ZREM, so all writes are allowed when memory is full.

local now = clock()
local reply = {ENDED, now, '0'}
for i = 4, #KEYS do
  local entry = ARGV[i + 2]
  local session, refusal, found = live(KEYS[i], now)
  if session then
    end_session(KEYS[i], entry, ARGV[1], ARGV[2])
    unlist(KEYS[1], KEYS[3], session, entry, ARGV[5], now)
    note(KEYS[2], ARGV[4], entry, ARGV[5], ARGV[3])
    reply[#reply + 1] = name(entry)
  elseif refusal[1] == NEWER then
    reply[3] = '1'
  elseif found == '-' .. ARGV[1] .. name(entry) .. '!' then
    -- The marker ended the session at its next write, and wrote the note. No caller has reported it
    -- yet.
    redis.pcall('SET', KEYS[i], string.sub(found, 1, 14), 'KEEPTTL')
    reply[#reply + 1] = name(entry)
  end
end
return reply
