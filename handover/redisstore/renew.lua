-- renew.lua: keep a partition, and forget marks that are older than the horizon.
--
-- KEYS[1]  meta     HASH
-- KEYS[2]  dd0      SET
-- KEYS[3]  dd1      SET
-- KEYS[4]  scratch  never exists, see commit.lua
-- ARGV[1]  token
-- ARGV[2]  time to live, ms
-- ARGV[3]  horizon, ms
--
-- Returns 1, or 0 where the token is not the owner's. A lease that ran out and
-- was taken by nobody is prolonged: nothing has happened to the partition.
--
-- New marks go to one of two sets. When that has taken them for as long as the horizon,
-- the other one, all of it older than that, is forgotten at once and takes its place.
local meta, sets, scratch = KEYS[1], { ['0'] = KEYS[2], ['1'] = KEYS[3] }, KEYS[4]
local is = redis.call('HMGET', meta, 'token', 'marks', 'marked')
if is[1] ~= ARGV[1] then
  return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('DEL', scratch)
redis.call('HSET', meta, 'expiry', string.format('%.0f', now + ARGV[2]))
if not is[3] then
  redis.call('HSET', meta, 'marked', string.format('%.0f', now))
elseif now - is[3] >= tonumber(ARGV[3]) then
  local other = is[2] == '1' and '0' or '1'
  redis.call('UNLINK', sets[other])
  redis.call('HSET', meta, 'marks', other, 'marked', string.format('%.0f', now))
end
return 1
