-- read.lua: what an owner wants to know, in one round trip.
--
-- KEYS[1]  in  STREAM
-- KEYS[2]  tm  ZSET
-- KEYS[3]  meta  HASH
-- KEYS[4]  dd0  SET
-- KEYS[5]  dd1  SET
-- ARGV[1]  how many entries, and how many timers, at most; may be 0
-- ARGV[2]  '1' where the stream is to be looked at, '0' where only if others have
--          appended since it was, which is when their mark is another than
-- ARGV[3]  the mark as of then
-- ARGV[4…] the marks of each entry that the owner has without a look
--
-- Returns now in ms, the entries, or nil where the stream was not looked at, which of
-- them, or else of the owner's own, came before, by position, the threads whose timer is
-- due, and the thread and ms of the earliest timer that is not, if there is one, the
-- token of the owner ('' for nobody's), the seq, and the mark.
local stream, timers, meta, seen, also = unpack(KEYS)
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- known returns the positions, from 1, of the entries with these marks of which one was
-- remembered, or is that of a new entry before it.
local function known(marks_of)
  local marks, ends = {}, {}
  for n, of in ipairs(marks_of) do
    for at = 1, #of, 16 do
      marks[#marks + 1] = of:sub(at, at + 15)
    end
    ends[n] = #marks
  end
  local came = {}
  for i = 1, #marks, 1000 do -- unpack has a limit
    local last = math.min(i + 999, #marks)
    local here, there = redis.call('SMISMEMBER', seen, unpack(marks, i, last)), redis.call('SMISMEMBER', also, unpack(marks, i, last))
    for j = 1, #here do
      came[marks[i + j - 1]] = here[j] + there[j] > 0
    end
  end
  local positions, first = {}, 1
  for n, last in ipairs(ends) do
    local new = true
    for i = first, last do
      new = new and not came[marks[i]]
    end
    for i = first, last do
      came[marks[i]] = came[marks[i]] or new
    end
    if not new then
      positions[#positions + 1] = n
    end
    first = last + 1
  end
  return positions
end

local due = {}
local next = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')
if #next > 0 and tonumber(next[2]) <= tonumber(now) then
  if ARGV[1] ~= '0' then
    due = redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, ARGV[1])
  end
  next = redis.call('ZRANGEBYSCORE', timers, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
end

local is = redis.call('HMGET', meta, 'token', 'seq', 'foreign')
local mark = is[3] or ''
local entries, marks_of = false, {}
if ARGV[1] ~= '0' and (ARGV[2] == '1' or mark ~= ARGV[3]) then
  entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', ARGV[1])
  for n, entry in ipairs(entries) do
    marks_of[n] = entry[2][6] or ''
  end
else
  for n = 4, #ARGV do
    marks_of[n - 3] = ARGV[n]
  end
end
return { now, entries, known(marks_of), due, next, is[1] or '', is[2] or '0', mark }
