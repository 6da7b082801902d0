-- commit.lua: the one durable step of a partition. All of it happens, or nothing.
--
-- KEYS[1]   meta      HASH    token, seq, commit and known of the last commit, cursor
-- KEYS[2]   in        STREAM
-- KEYS[3]   dd        ZSET
-- KEYS[4]   tm        ZSET
-- KEYS[5]   ob        HASH
-- KEYS[6]   dlq       STREAM
-- KEYS[7]   ep        STREAM
-- KEYS[8]   scratch   never exists
-- KEYS[9…]  for each thread: t:<thread> STRING, h:<thread> LIST
--
-- ARGV[1]   token
-- ARGV[2]   seq before, ARGV[3] after this commit
-- ARGV[4]   id of this commit: the same for a repeat, and for nothing else
-- ARGV[5]   last entry consumed, ARGV[6] the id after it; both '' when none was
-- ARGV[7]   retention of threads and histories, ms
-- ARGV[8]   lines of history kept, ARGV[9] entries of dlq, ARGV[10] episodes
-- ARGV[11…] how many follow, and then, of each kind:
--           echoed effects  id
--           what was sent   hash of its id
--           effects to put  id, body
--           effects to drop id
--           buried entries  thread, cause, ms, body
--           episodes        body
--           threads         name, '1' to forget what is stored else '0',
--                           '1' to store else '0', body, wake in ms or '',
--                           how many lines of history, lines
--
-- Returns {'lost'}, {'stale', seq} or {'done', known, left}: the positions among
-- the effects to put, from 1, of those that were echoed before, with a comma after
-- each; and '1' where entries are left to read, else '0'.
local meta, stream, seen, timers, outbox, dlq, episodes, scratch = unpack(KEYS, 1, 8)

local function left()
  return redis.call('XLEN', stream) > 0 and '1' or '0'
end

-- The token alone decides. A lease that has run out but was taken by nobody still
-- fences: the partition is just as its owner left it.
local is = redis.call('HMGET', meta, 'token', 'seq', 'commit', 'known')
if is[1] ~= ARGV[1] then
  return { 'lost' }
end
local seq = is[2] or '0'
if seq == ARGV[3] and is[3] == ARGV[4] then
  return { 'done', is[4], left() } -- its reply was lost
end
if seq ~= ARGV[2] then
  return { 'stale', seq }
end

-- What was read must still be there. A failover may have lost it, and with it that
-- it was ever offered: it comes again, and would be decided twice.
if ARGV[5] ~= '' and #redis.call('XRANGE', stream, ARGV[5], ARGV[5]) == 0 then
  return { 'stale', seq }
end

-- A script is not rolled back, so nothing may fail after the first write. A key
-- of another type, which none of ours is, stops it here.
redis.call('XLEN', stream)
redis.call('ZCARD', seen)
redis.call('ZCARD', timers)
redis.call('HLEN', outbox)
redis.call('XLEN', dlq)
redis.call('XLEN', episodes)
for i = 10, #KEYS, 2 do
  redis.call('LLEN', KEYS[i])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

-- The first write needs no memory, and what comes after a write is not refused
-- for want of it: under maxmemory commits go on, and make room, while ingest.lua
-- is refused.
redis.call('DEL', scratch)

local next_arg = 10
local function take()
  next_arg = next_arg + 1
  return ARGV[next_arg]
end
local function count()
  return tonumber(take())
end
-- write runs a command on many arguments: unpack has a limit.
local function write(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

local echoes, echoed = {}, {}
for _ = 1, count() do
  local id = take()
  echoes[#echoes + 1] = now_text
  echoes[#echoes + 1] = 'x:' .. id
  echoed[#echoed + 1] = id
end
write('ZADD', seen, echoes)
write('HDEL', outbox, echoed)

local sent = {}
for _ = 1, count() do
  sent[#sent + 1] = now_text
  sent[#sent + 1] = take()
end
write('ZADD', seen, sent)

local put, known = {}, {}
for i = 1, count() do
  local id, body = take(), take()
  if redis.call('ZSCORE', seen, 'x:' .. id) then
    known[#known + 1] = i .. ','
  else
    put[#put + 1] = id
    put[#put + 1] = body
  end
end
write('HSET', outbox, put)

local drop = {}
for i = 1, count() do
  drop[i] = take()
end
write('HDEL', outbox, drop)

for _ = 1, count() do
  redis.call('XADD', dlq, 'MAXLEN', ARGV[9], '*', 't', take(), 'c', take(), 'a', take(), 'b', take())
end
for _ = 1, count() do
  redis.call('XADD', episodes, 'MAXLEN', ARGV[10], '*', 'b', take())
end

local wake, sleep = {}, {}
local key = 7
for _ = 1, count() do
  key = key + 2
  local thread, history = KEYS[key], KEYS[key + 1]
  local name, forget, store, body, at = take(), take(), take(), take(), take()
  if forget == '1' then
    redis.call('DEL', thread, history)
  end
  if store == '1' then
    local ttl = tonumber(ARGV[7])
    if at ~= '' then -- a thread outlives its timer
      ttl = ttl + math.max(0, at - now)
    end
    redis.call('SET', thread, body, 'PX', string.format('%.0f', ttl))
  end
  if at ~= '' then
    wake[#wake + 1] = at
    wake[#wake + 1] = name
  elseif forget == '1' or store == '1' then
    sleep[#sleep + 1] = name
  end
  local lines = {}
  for i = 1, count() do
    lines[i] = take()
  end
  if #lines > 0 then
    write('RPUSH', history, lines)
    if redis.call('LLEN', history) > tonumber(ARGV[8]) then
      redis.call('LTRIM', history, '-' .. ARGV[8], -1)
    end
    redis.call('PEXPIRE', history, ARGV[7])
  end
end
write('ZADD', timers, wake)
write('ZREM', timers, sleep)

if ARGV[5] ~= '' then
  redis.call('XTRIM', stream, 'MINID', '=', ARGV[6])
  redis.call('HSET', meta, 'cursor', ARGV[5])
end
local found = table.concat(known)
redis.call('HSET', meta, 'seq', ARGV[3], 'commit', ARGV[4], 'known', found)
return { 'done', found, left() }
