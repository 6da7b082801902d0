-- commit.lua: the one durable step of a partition. All of it happens, or nothing.
--
-- KEYS[1]   meta      HASH    token, seq, commit and known of the last commit
-- KEYS[2]   in        STREAM
-- KEYS[3]   dd0       SET
-- KEYS[4]   dd1       SET
-- KEYS[5]   tm        ZSET
-- KEYS[6]   ob        HASH
-- KEYS[7]   dlq       STREAM
-- KEYS[8]   ep        STREAM
-- KEYS[9]   scratch   never exists
-- KEYS[10…] for each thread: t:<thread> STRING, h:<thread> LIST
--
-- ARGV[1]   token
-- ARGV[2]   seq before, ARGV[3] after this commit
-- ARGV[4]   id of this commit: the same for a repeat, and for nothing else
-- ARGV[5]   retention of threads and histories, ms
-- ARGV[6]   lines of history kept, at least; ARGV[7] entries of dlq, ARGV[8] episodes
-- ARGV[9…]  how many of each kind follow: entries consumed, marks, echoed effects,
--           effects to put, effects to drop, buried entries, episodes, threads; and
--           then, kind by kind:
--           entries         id
--           marks           of entries
--           echoed effects  id
--           effects to put  their ids, and then of each: id, body
--           effects to drop id
--           buried entries  thread, cause, ms, body
--           episodes        body
--           threads         how many lines of history, what else to do ('' nothing,
--                           'd' delete what is stored, 's' store, 'k' store, and keep
--                           its history for as long, 'ds' delete and store), and for all but '':
--                           name, body, wake in ms or ''; then its lines
--
-- Returns {'lost'}, {'stale', seq} or {'done', known, mark}: the positions among
-- the effects to put, from 1, of those that were echoed before, with a comma after
-- each; and the mark of what others have appended, see ingest.lua.
--
-- What a commit costs is mostly its calls: each is made only where it is needed.
local meta, stream, seen, also, timers, outbox, dlq, episodes, scratch = unpack(KEYS, 1, 9)

-- The token alone decides. A lease that has run out but was taken by nobody still
-- fences: the partition is just as its owner left it.
local is = redis.call('HMGET', meta, 'token', 'seq', 'commit', 'known', 'foreign', 'marks')
if is[1] ~= ARGV[1] then
  return { 'lost' }
end
local seq = is[2] or '0'
if seq == ARGV[3] and is[3] == ARGV[4] then
  return { 'done', is[4], is[5] or '' } -- its reply was lost
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

-- write runs a command on many arguments, from one to another: unpack has a limit.
local function write(command, key, args, first, last)
  for i = first, last, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, last)))
  end
end

-- take runs a command on the next n arguments of ours.
local function take(command, key, n)
  write(command, key, ARGV, at_arg, at_arg + n - 1)
  at_arg = at_arg + n
end

-- An entry that a failover has lost since it was read is no matter: it is decided,
-- and known when it is offered again.
take('XDEL', stream, consumed_count)

write('SADD', is[6] == '1' and also or seen, ARGV, at_arg, at_arg + mark_count + echo_count - 1) -- see renew.lua
at_arg = at_arg + mark_count
take('HDEL', outbox, echo_count)

local ids, bodies, known = at_arg, at_arg + put_count, {}
for i = 0, put_count - 1, 1000 do
  local last = ids + math.min(i + 999, put_count - 1)
  local here, there = redis.call('SMISMEMBER', seen, unpack(ARGV, ids + i, last)), redis.call('SMISMEMBER', also, unpack(ARGV, ids + i, last))
  for j = 1, #here do
    if here[j] + there[j] > 0 then
      known[#known + 1] = i + j
    end
  end
end
at_arg = bodies
if #known == 0 then
  take('HSET', outbox, 2 * put_count)
else
  local put, of = {}, 1
  for i = 1, put_count do
    if known[of] == i then
      of = of + 1
    else
      put[#put + 1], put[#put + 2] = ARGV[bodies + 2 * i - 2], ARGV[bodies + 2 * i - 1]
    end
  end
  write('HSET', outbox, put, 1, #put)
  at_arg = bodies + 2 * put_count
end
take('HDEL', outbox, drop_count)

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

local retention, history_cap = ARGV[5], tonumber(ARGV[6])
local history_room = history_cap + math.floor(history_cap / 8) -- trimmed now and then
local wake, sleep = {}, {}
for i = 1, thread_count do
  local history, lines, does = KEYS[9 + 2 * i], ARGV[at_arg], ARGV[at_arg + 1]
  at_arg = at_arg + 2
  if does ~= '' then
    local thread, name, body, at = KEYS[8 + 2 * i], ARGV[at_arg], ARGV[at_arg + 1], ARGV[at_arg + 2]
    at_arg = at_arg + 3
    if does == 'd' or does == 'ds' then
      redis.call('DEL', thread, history)
    end
    if does ~= 'd' then
      local ttl = retention
      if at ~= '' then -- a thread outlives its timer
        ttl = string.format('%.0f', ttl + math.max(0, at - now))
      end
      redis.call('SET', thread, body, 'PX', ttl)
    end
    if at ~= '' then
      wake[#wake + 1] = at
      wake[#wake + 1] = name
    else
      sleep[#sleep + 1] = name
    end
  end
  if lines ~= '0' then
    local kept
    if lines == '1' then
      kept = push(history, ARGV[at_arg])
      at_arg = at_arg + 1
    else
      local last = at_arg + lines - 1
      for first = at_arg, last, 1000 do
        kept = push(history, unpack(ARGV, first, math.min(first + 999, last)))
      end
      at_arg = last + 1
    end
    if kept > history_room then
      redis.call('LTRIM', history, -history_cap, -1)
    end
    if does == 'k' or kept == tonumber(lines) then
      redis.call('PEXPIRE', history, retention)
    end
  end
end
write('ZADD', timers, wake, 1, #wake)
write('ZREM', timers, sleep, 1, #sleep)

local found = table.concat(known, ',') .. ','
redis.call('HSET', meta, 'seq', ARGV[3], 'commit', ARGV[4], 'known', found)
return { 'done', found, is[5] or '' }
