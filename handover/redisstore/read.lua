-- read.lua: what an owner wants to know beside the entries.
--
-- KEYS[1]  tm  ZSET
-- KEYS[2]  meta  HASH
-- ARGV[1]  how many timers, at most; may be 0
--
-- Returns now in ms, the threads whose timer is due, and the thread and ms of the
-- earliest timer that is not, if there is one, the token of the owner ('' for nobody's)
-- and the seq.
local timers, meta = unpack(KEYS)
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local due = {}
local next = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')
if #next > 0 and tonumber(next[2]) <= tonumber(now) then
  if ARGV[1] ~= '0' then
    due = redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, ARGV[1])
  end
  next = redis.call('ZRANGEBYSCORE', timers, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
end
local is = redis.call('HMGET', meta, 'token', 'seq')
return { now, due, next, is[1] or '', is[2] or '0' }
