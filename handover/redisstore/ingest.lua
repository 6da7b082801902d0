-- ingest.lua: append entries to the stream of a partition of which the caller is not the
-- owner, all of them or none.
--
-- KEYS[1]  in    STREAM
-- KEYS[2]  meta  HASH    foreign
-- ARGV[1]  wake channel
-- ARGV[2]  number of the partition
-- ARGV[3]  mark, which nothing else has: its owner knows by it that there is what he has
--          not appended himself, see read.lua
-- ARGV[4…] for each entry: kind, body, marks. Without any there are some already.
--
-- Whether an entry came before is not asked here: its owner knows, see read.lua.
-- So something is written for a duplicate as well: WAIT counts from the last write
-- of its connection, and a first attempt may have been stored but not replicated.
-- Under maxmemory the first write is refused, before anything happened.
local stream, meta = KEYS[1], KEYS[2]

-- An owner reads until the stream is empty, and what it consumed leaves the
-- stream with its commit: only the first entry of an empty stream needs a call.
local call = #ARGV == 3 or redis.call('XLEN', stream) == 0

for i = 4, #ARGV, 3 do
  redis.call('XADD', stream, '*', 'k', ARGV[i], 'b', ARGV[i + 1], 'm', ARGV[i + 2])
end
redis.call('HSET', meta, 'foreign', ARGV[3])
if call then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return 0
