-- leave.lua: count a process as gone.
--
-- KEYS[1]  members  ZSET
-- ARGV[1]  member
-- ARGV[2]  wake channel
--
-- Returns how many members left: 0 or 1.
local gone = redis.call('ZREM', KEYS[1], ARGV[1])
if gone > 0 then
  redis.call('PUBLISH', ARGV[2], '-1')
end
return gone
