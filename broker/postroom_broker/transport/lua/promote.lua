-- Puts messages that are due where they are consumed next, the oldest first.
--
-- KEYS     1 ids by the time they are due (sorted set)  2 messages by id (hash)
-- ARGV     1 how many at most
-- Returns  how many were promoted, and how long (ms) until the next is due: 0 when one is, -1 when there is none
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[1])
for i = #ids, 1, -1 do
  local stored = redis.call('HGET', KEYS[2], ids[i])
  redis.call('ZREM', KEYS[1], ids[i])
  redis.call('HDEL', KEYS[2], ids[i])
  if stored then
    local newline = string.find(stored, '\n', 1, true)
    redis.call('RPUSH', string.sub(stored, 1, newline - 1), string.sub(stored, newline + 1))
  end
end
local next_one = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #next_one == 0 then return {#ids, -1} end
return {#ids, math.max(0, math.ceil((next_one[2] - now) * 1000))}
