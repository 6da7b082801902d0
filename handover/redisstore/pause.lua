-- pause.lua: stop the calls of a Page for a while, or tell for how long they are
-- stopped.
--
-- KEYS[1]  pause  HASH  expiry = ms, why
-- ARGV[1]  for how long from now, ms; '0' only asks
-- ARGV[2]  why
-- ARGV[3]  wake channel
--
-- Returns {ms left, why}; {'0', ''} where they are not stopped. A pause that would
-- end no more than a second later than the one there is changes nothing: so it is
-- with a repeat, and where many calls are refused at once.
local pause = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local is = redis.call('HMGET', pause, 'expiry', 'why')
local expiry, why = math.max(tonumber(is[1] or 0), now), is[2] or ''
if now + ARGV[1] > expiry + (expiry > now and 1000 or 0) then
  expiry, why = now + ARGV[1], ARGV[2]
  redis.call('DEL', pause) -- the first write needs no memory, see commit.lua
  redis.call('HSET', pause, 'expiry', string.format('%.0f', expiry), 'why', why)
  redis.call('PEXPIRE', pause, ARGV[1])
  redis.call('PUBLISH', ARGV[3], '-1')
end
if expiry == now then
  why = ''
end
return { string.format('%.0f', expiry - now), why }
