-- ingest.lua: append entries to a partition's stream, each only once.
--
-- KEYS[1]  meta  HASH    offered = entries ever offered
-- KEYS[2]  in    STREAM
-- KEYS[3]  dd    ZSET
-- ARGV[1]  wake channel
-- ARGV[2]  number of the partition
-- ARGV[3]  token of the caller, '' where it does not own the partition
-- ARGV[4…] for each entry: hash of its id, of 16 bytes, and of further ids that
--          it may be known by, kind, body
--
-- Returns 1 where the caller is the owner and must look, else 0: others were told.
local meta, stream, seen = KEYS[1], KEYS[2], KEYS[3]

-- What follows cannot fail half-way for the type of a key.
local empty = redis.call('XLEN', stream) == 0
redis.call('ZCARD', seen)

-- Something is written for a duplicate as well: WAIT counts from the last write
-- of its connection, and a first attempt may have been stored but not replicated.
-- Under maxmemory it is this write that is refused, before anything happened.
redis.call('HINCRBY', meta, 'offered', (#ARGV - 3) / 3)

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- known tells whether an entry came before, by any of its ids, and remembers them.
local function known(ids)
  if #ids == 16 then
    return redis.call('ZADD', seen, 'NX', now, ids) == 0
  end
  for at = 1, #ids, 16 do
    if redis.call('ZSCORE', seen, ids:sub(at, at + 15)) then
      return true
    end
  end
  for at = 1, #ids, 16 do
    redis.call('ZADD', seen, now, ids:sub(at, at + 15))
  end
  return false
end

local new = false
for i = 4, #ARGV, 3 do
  if not known(ARGV[i]) then
    redis.call('XADD', stream, '*', 'k', ARGV[i + 1], 'b', ARGV[i + 2])
    new = true
  end
end

-- An owner reads until the stream is empty, and what it consumed leaves the
-- stream with its commit: only the first entry of an empty stream needs a call.
-- An owner who runs this itself is told by the reply, which may have been lost: a
-- repeat, where nothing is new, tells again.
if new and not empty then
  return 0
end
if ARGV[3] ~= '' and redis.call('HGET', meta, 'token') == ARGV[3] then
  return 1
end
if new then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return 0
