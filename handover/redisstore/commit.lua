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
-- ARGV[11…] how many of each kind follow: echoed effects, sent messages, effects to
--           put, effects to drop, buried entries, episodes, threads; and then, kind
--           by kind:
--           echoed effects  id
--           sent messages   hash of their id
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
--
-- What a commit costs is mostly its calls: each is made only where it is needed.
local meta, stream, seen, timers, outbox, dlq, episodes, scratch = unpack(KEYS, 1, 8)
local length = redis.call('XLEN', stream)
local function left()
  return length > 0 and '1' or '0'
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

local echo_count, sent_count, put_count = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local drop_count, buried_count, episode_count = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local thread_count = tonumber(ARGV[17])

-- A script is not rolled back, so nothing may fail after the first write. A key
-- of another type, which none of ours is, stops it here.
if echo_count + sent_count + put_count > 0 then
  redis.call('ZCARD', seen)
end
if echo_count + put_count + drop_count > 0 then
  redis.call('HLEN', outbox)
end
if buried_count > 0 then
  redis.call('XLEN', dlq)
end
if episode_count > 0 then
  redis.call('XLEN', episodes)
end
redis.call('ZCARD', timers)
for i = 10, #KEYS, 2 do
  redis.call('LLEN', KEYS[i])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The first write needs no memory, and what comes after a write is not refused
-- for want of it: under maxmemory commits go on, and make room, while ingest.lua
-- is refused.
redis.call('DEL', scratch)

-- write runs a command on many arguments: unpack has a limit.
local function write(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

local at_arg = 18 -- the next argument
local echoed = {}
if echo_count + sent_count > 0 then
  local now_text = string.format('%.0f', now)
  local remember = {}
  for i = 1, echo_count + sent_count do
    local id = ARGV[at_arg]
    at_arg = at_arg + 1
    if i <= echo_count then
      echoed[i] = id
      id = 'x:' .. id
    end
    remember[2 * i - 1], remember[2 * i] = now_text, id
  end
  write('ZADD', seen, remember)
  write('HDEL', outbox, echoed)
end

local put, known = {}, {}
for i = 1, put_count do
  local id = ARGV[at_arg]
  if redis.call('ZSCORE', seen, 'x:' .. id) then
    known[#known + 1] = i .. ','
  else
    put[#put + 1] = id
    put[#put + 1] = ARGV[at_arg + 1]
  end
  at_arg = at_arg + 2
end
write('HSET', outbox, put)

local drop = {}
for i = 1, drop_count do
  drop[i] = ARGV[at_arg]
  at_arg = at_arg + 1
end
write('HDEL', outbox, drop)

for _ = 1, buried_count do
  local thread, cause, at, body = unpack(ARGV, at_arg, at_arg + 3)
  redis.call('XADD', dlq, 'MAXLEN', ARGV[9], '*', 't', thread, 'c', cause, 'a', at, 'b', body)
  at_arg = at_arg + 4
end
for _ = 1, episode_count do
  redis.call('XADD', episodes, 'MAXLEN', ARGV[10], '*', 'b', ARGV[at_arg])
  at_arg = at_arg + 1
end

local wake, sleep = {}, {}
for i = 1, thread_count do
  local thread, history = KEYS[7 + 2 * i], KEYS[8 + 2 * i]
  local name, forget, store, body, at, lines = unpack(ARGV, at_arg, at_arg + 5)
  at_arg = at_arg + 6
  if forget == '1' then
    redis.call('DEL', thread, history)
  end
  if store == '1' then
    local ttl = ARGV[7]
    if at ~= '' then -- a thread outlives its timer
      ttl = string.format('%.0f', ttl + math.max(0, at - now))
    end
    redis.call('SET', thread, body, 'PX', ttl)
  end
  if at ~= '' then
    wake[#wake + 1] = at
    wake[#wake + 1] = name
  elseif forget == '1' or store == '1' then
    sleep[#sleep + 1] = name
  end
  lines = tonumber(lines)
  if lines > 0 then
    local kept
    for first = at_arg, at_arg + lines - 1, 1000 do
      kept = redis.call('RPUSH', history, unpack(ARGV, first, math.min(first + 999, at_arg + lines - 1)))
    end
    if kept > tonumber(ARGV[8]) then
      redis.call('LTRIM', history, '-' .. ARGV[8], -1)
    end
    if store == '1' or kept == lines then -- what is told alone is of a call, moments after what led to it
      redis.call('PEXPIRE', history, ARGV[7])
    end
    at_arg = at_arg + lines
  end
end
write('ZADD', timers, wake)
write('ZREM', timers, sleep)

local found = table.concat(known)
if ARGV[5] ~= '' then
  length = length - redis.call('XTRIM', stream, 'MINID', '=', ARGV[6])
  redis.call('HSET', meta, 'seq', ARGV[3], 'commit', ARGV[4], 'known', found, 'cursor', ARGV[5])
else
  redis.call('HSET', meta, 'seq', ARGV[3], 'commit', ARGV[4], 'known', found)
end
return { 'done', found, left() }
