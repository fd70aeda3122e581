-- Notes that a worker lives, dated by the server's clock, and forgets those of which nothing was heard for long.
--
-- KEYS     1 what workers tell of themselves, by worker (hash)
-- ARGV     1 the worker  2 what it tells (JSON)  3 for how long (s) it holds
-- Returns  nothing
local time = redis.call('TIME')
local told = redis.call('HGETALL', KEYS[1])
for i = 1, #told, 2 do
  local at = tonumber(string.match(told[i + 1], '^%d+'))
  if not at or at < time[1] - ARGV[3] then redis.call('HDEL', KEYS[1], told[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], time[1] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
