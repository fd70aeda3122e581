-- Puts messages that a waiting consumer has moved to the front back into their queues, for it cannot take them after all.
--
-- KEYS     for each queue: its front, itself (lists)
-- ARGV     none
-- Returns  how many were moved
local count = 0
for i = 1, #KEYS, 2 do
  local message = redis.call('LPOP', KEYS[i])
  while message do
    redis.call('RPUSH', KEYS[i + 1], message)
    count = count + 1
    message = redis.call('LPOP', KEYS[i])
  end
end
return count
