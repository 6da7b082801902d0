-- read.lua: what an owner wants to know, in one round trip.
--
-- KEYS[1]  in  STREAM
-- KEYS[2]  tm  ZSET
-- ARGV[1]  first entry wanted; '-' for the first there is
-- ARGV[2]  how many entries, and how many timers, at most; may be 0
--
-- Returns now in ms, the entries, the threads whose timer is due, and the thread
-- and ms of the earliest timer that is not, if there is one.
local stream, timers = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local entries, due = {}, {}
if ARGV[2] ~= '0' then
  entries = redis.call('XRANGE', stream, ARGV[1], '+', 'COUNT', ARGV[2])
  due = redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, ARGV[2])
end
return { now, entries, due, redis.call('ZRANGEBYSCORE', timers, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1) }
