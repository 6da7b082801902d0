-- watch.lua: what is known of a Page's deliveries.
--
-- KEYS[1]  watch  HASH  m0 to m63 = the latest minutes in which deliveries were
--                       stored, each in its place: Unix minutes;
--                       whole, owed = Unix ms
-- ARGV[1]  retention, ms
-- ARGV[2]  what to do, with ARGV[3]:
--          'read'       nothing
--          'delivered'  a delivery was stored so many ms ago
--          'whole'      the Page was found subscribed to all just now
--          'owe'        from that time on messages were missed, Unix ms; an earlier
--                       one that is owed stays
--          'settle'     what was owed from that time on is not any more, Unix ms
--
-- Returns {now in ms, whole or '', owed or '', minutes…}, the minutes in no order.
local watch = KEYS[1]
local what, value = ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if what == 'delivered' then
  local minute = math.floor((now - value) / 60000)
  local place = 'm' .. minute % 64
  if minute > tonumber(redis.call('HGET', watch, place) or 0) then
    redis.call('HSET', watch, place, string.format('%.0f', minute))
  end
elseif what == 'whole' then
  redis.call('HSET', watch, 'whole', string.format('%.0f', now))
elseif what == 'owe' then
  local owed = tonumber(redis.call('HGET', watch, 'owed') or value)
  redis.call('HSET', watch, 'owed', string.format('%.0f', math.min(owed, value)))
elseif what == 'settle' and tonumber(redis.call('HGET', watch, 'owed') or -1) == value then
  redis.call('HDEL', watch, 'owed')
end
if what ~= 'read' then
  redis.call('PEXPIRE', watch, ARGV[1])
end

local is = redis.call('HGETALL', watch)
local out = { string.format('%.0f', now), '', '' }
for i = 1, #is, 2 do
  if is[i] == 'whole' then
    out[2] = is[i + 1]
  elseif is[i] == 'owed' then
    out[3] = is[i + 1]
  else
    out[#out + 1] = is[i + 1]
  end
end
return out
