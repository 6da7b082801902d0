-- release.lua: give a partition back, and announce it.
--
-- KEYS[1]  meta     HASH
-- KEYS[2]  scratch  never exists, see commit.lua
-- ARGV[1]  token
-- ARGV[2]  '1' when no effect was left in flight, else '0'
-- ARGV[3]  wake channel
-- ARGV[4]  number of the partition
--
-- Returns 1, or 0 where the token is not the owner's.
local meta, scratch = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'token') ~= ARGV[1] then
  return 0
end
redis.call('DEL', scratch)
redis.call('HSET', meta, 'clean', ARGV[2])
redis.call('HDEL', meta, 'token', 'expiry')
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
