-- read.lua: what an owner wants to know, in one round trip.
--
-- KEYS[1]  in  STREAM
-- KEYS[2]  tm  ZSET
-- KEYS[3]  meta  HASH
-- ARGV[1]  first entry wanted; '-' for the first there is
-- ARGV[2]  how many entries, and how many timers, at most; may be 0
--
-- Returns now in ms, the entries, the threads whose timer is due, and the thread
-- and ms of the earliest timer that is not, if there is one, the token of the owner
-- ('' for nobody's) and the seq.
local stream, timers, meta = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local entries, due = {}, {}
if ARGV[2] ~= '0' then
  entries = redis.call('XRANGE', stream, ARGV[1], '+', 'COUNT', ARGV[2])
  due = redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, ARGV[2])
end
local next = redis.call('ZRANGEBYSCORE', timers, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local is = redis.call('HMGET', meta, 'token', 'seq')
return { now, entries, due, next, is[1] or '', is[2] or '0' }
