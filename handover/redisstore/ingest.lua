-- ingest.lua: append entries to a partition's stream, all of them or none.
--
-- KEYS[1]  in  STREAM
-- ARGV[1]  wake channel, '' where the caller owns the partition and wakes it
-- ARGV[2]  number of the partition
-- ARGV[3…] for each entry: kind, body, marks
--
-- Whether an entry came before is not asked here: its owner knows, see read.lua.
-- So something is written for a duplicate as well: WAIT counts from the last write
-- of its connection, and a first attempt may have been stored but not replicated.
-- Under maxmemory the first write is refused, before anything happened.
local stream = KEYS[1]

-- An owner reads until the stream is empty, and what it consumed leaves the
-- stream with its commit: only the first entry of an empty stream needs a call.
local call = ARGV[1] ~= '' and redis.call('XLEN', stream) == 0

for i = 3, #ARGV, 3 do
  redis.call('XADD', stream, '*', 'k', ARGV[i], 'b', ARGV[i + 1], 'm', ARGV[i + 2])
end
if call then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return 0
