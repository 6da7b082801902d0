-- commit.lua: the one durable step of a partition. All of it happens, or nothing.
--
-- KEYS[1]   meta      HASH    token, seq, commit and known of the last commit
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
-- ARGV[5]   retention of threads and histories, ms
-- ARGV[6]   lines of history kept, ARGV[7] entries of dlq, ARGV[8] episodes
-- ARGV[9…]  how many of each kind follow: entries consumed, marks, echoed effects,
--           effects to put, effects to drop, buried entries, episodes, threads; and
--           then, kind by kind:
--           entries         id
--           marks           of entries and of what was sent: hash of its id
--           echoed effects  id
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

local consumed_count, mark_count, echo_count = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local put_count, drop_count, buried_count = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local episode_count, thread_count = tonumber(ARGV[15]), tonumber(ARGV[16])
local at_arg = 17 -- the next argument

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A script is not rolled back, so nothing may fail from here on. What is of the
-- partition has the type it should, see acquire.lua; a thread's keys are replaced
-- whatever they hold. The first write needs no memory, and what comes after a write
-- is not refused for want of it: under maxmemory commits go on, and make room,
-- while nothing new is taken.
if consumed_count == 0 then
  redis.call('DEL', scratch)
end

-- write runs a command on many arguments: unpack has a limit.
local function write(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

-- take returns the next n arguments.
local function take(n)
  local args = {}
  for i = 1, n do
    args[i] = ARGV[at_arg + i - 1]
  end
  at_arg = at_arg + n
  return args
end

-- An entry that a failover has lost since it was read is no matter: it is decided,
-- and known when it is offered again.
write('XDEL', stream, take(consumed_count))

local remember, now_text = {}, string.format('%.0f', now)
local function note(mark)
  remember[#remember + 1] = now_text
  remember[#remember + 1] = mark
end
for _, mark in ipairs(take(mark_count)) do
  note(mark)
end
local echoed = take(echo_count)
for _, id in ipairs(echoed) do
  note('x:' .. id)
end
write('ZADD', seen, remember)
write('HDEL', outbox, echoed)

local ids, put, known = {}, {}, {}
for i = 1, put_count do
  ids[i] = 'x:' .. ARGV[at_arg + 2 * i - 2]
end
for i = 1, put_count, 1000 do
  local scores = redis.call('ZMSCORE', seen, unpack(ids, i, math.min(i + 999, put_count)))
  for j, score in ipairs(scores) do
    local at = at_arg + 2 * (i + j) - 4
    if score then
      known[#known + 1] = i + j - 1 .. ','
    else
      put[#put + 1], put[#put + 2] = ARGV[at], ARGV[at + 1]
    end
  end
end
at_arg = at_arg + 2 * put_count
write('HSET', outbox, put)
write('HDEL', outbox, take(drop_count))

for _ = 1, buried_count do
  local thread, cause, at, body = unpack(ARGV, at_arg, at_arg + 3)
  redis.call('XADD', dlq, 'MAXLEN', ARGV[7], '*', 't', thread, 'c', cause, 'a', at, 'b', body)
  at_arg = at_arg + 4
end
for _ = 1, episode_count do
  redis.call('XADD', episodes, 'MAXLEN', ARGV[8], '*', 'b', ARGV[at_arg])
  at_arg = at_arg + 1
end

-- push appends lines to a history, in the place of what is no list.
local function push(history, ...)
  local kept = redis.pcall('RPUSH', history, ...)
  if type(kept) == 'table' then
    redis.call('DEL', history)
    kept = redis.call('RPUSH', history, ...)
  end
  return kept
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
    local ttl = ARGV[5]
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
      kept = push(history, unpack(ARGV, first, math.min(first + 999, at_arg + lines - 1)))
    end
    if kept > tonumber(ARGV[6]) then
      redis.call('LTRIM', history, '-' .. ARGV[6], -1)
    end
    if store == '1' or kept == lines then -- what is told alone is of a call, moments after what led to it
      redis.call('PEXPIRE', history, ARGV[5])
    end
    at_arg = at_arg + lines
  end
end
write('ZADD', timers, wake)
write('ZREM', timers, sleep)

local found = table.concat(known)
redis.call('HSET', meta, 'seq', ARGV[3], 'commit', ARGV[4], 'known', found)
return { 'done', found, left() }
