-- heartbeat.lua: count a process as alive, and tell who else is.
--
-- KEYS[1]  members  ZSET
-- ARGV[1]  member
-- ARGV[2]  time to live, ms
-- ARGV[3]  wake channel
--
-- Returns the live members.
local members = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The first write needs no memory, see commit.lua.
local gone = redis.call('ZREMRANGEBYSCORE', members, '-inf', string.format('%.0f', now))
local came = redis.call('ZADD', members, string.format('%.0f', now + ARGV[2]), ARGV[1])
if gone + came > 0 then
  redis.call('PUBLISH', ARGV[3], '-1')
end
return redis.call('ZRANGE', members, 0, -1)
