-- acquire.lua: own a partition, if nobody does.
--
-- KEYS[1]  meta     HASH
-- KEYS[2]  scratch  never exists, see commit.lua
-- KEYS[3]  in       STREAM
-- KEYS[4]  dd0      SET
-- KEYS[5]  dd1      SET
-- KEYS[6]  tm       ZSET
-- KEYS[7]  ob       HASH
-- KEYS[8]  dlq      STREAM
-- KEYS[9]  ep       STREAM
-- ARGV[1]  token, random, drawn for this acquisition
-- ARGV[2]  time to live, ms
-- ARGV[3]  schema that the caller writes
--
-- Returns {'held'}, {'newer', schema} or {'ours', epoch, seq, clean}.
local meta, scratch = KEYS[1], KEYS[2]
local token, ttl, schema = ARGV[1], ARGV[2], ARGV[3]

local is = redis.call('HMGET', meta, 'token', 'expiry', 'schema', 'clean')
if tonumber(is[3] or 0) > tonumber(schema) then
  return { 'newer', is[3] }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner = is[1] -- false for nobody
if owner and owner ~= token and tonumber(is[2]) > now then
  return { 'held' }
end

-- Nobody should own what a commit would stumble over half-way: see there. A key of
-- another type, which none of ours is, is an error here.
for i, look in ipairs({ 'XLEN', 'SCARD', 'SCARD', 'ZCARD', 'HLEN', 'XLEN', 'XLEN' }) do
  redis.call(look, KEYS[2 + i])
end

redis.call('DEL', scratch)
if owner ~= token then
  -- began tells a repeat what the first run found. From here on effects may be
  -- under way, so that only a release can make the partition clean again.
  redis.call('HINCRBY', meta, 'epoch', 1)
  redis.call('HSET', meta, 'token', token, 'began', is[4] or '0', 'clean', '0', 'schema', schema)
end
redis.call('HSET', meta, 'expiry', string.format('%.0f', now + ttl))

local got = redis.call('HMGET', meta, 'epoch', 'seq', 'began')
return { 'ours', got[1], got[2] or '0', got[3] }
