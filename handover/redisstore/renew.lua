-- renew.lua: keep a partition, and forget what is older than the horizon.
--
-- KEYS[1]  meta     HASH
-- KEYS[2]  dd       ZSET
-- KEYS[3]  scratch  never exists, see commit.lua
-- ARGV[1]  token
-- ARGV[2]  time to live, ms
-- ARGV[3]  horizon, ms
-- ARGV[4]  how many ids to forget at most
--
-- Returns 1, or 0 where the token is not the owner's. A lease that ran out and
-- was taken by nobody is prolonged: nothing has happened to the partition.
local meta, seen, scratch = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', meta, 'token') ~= ARGV[1] then
  return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = redis.call('ZCOUNT', seen, '-inf', '(' .. string.format('%.0f', now - ARGV[3]))

redis.call('DEL', scratch)
redis.call('HSET', meta, 'expiry', string.format('%.0f', now + ARGV[2]))
if old > 0 then
  redis.call('ZREMRANGEBYRANK', seen, 0, string.format('%.0f', math.min(old, tonumber(ARGV[4])) - 1))
end
return 1
