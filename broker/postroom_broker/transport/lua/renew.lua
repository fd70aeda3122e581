-- Dates leases anew, all of a process in one call. One that has been taken away stays away.
--
-- KEYS     1 the index of unacked (sorted set)
-- ARGV     lease ids
-- Returns  the ids of those that are no longer held
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
-- A server without memory refuses a script whose first write may need some. This one needs none, and opens the way:
-- no mail may be sent twice because a queue is full.
redis.call('ZREM', KEYS[1], '')
local lost = {}
for _, lease in ipairs(ARGV) do
  if redis.call('ZSCORE', KEYS[1], lease) then
    redis.call('ZADD', KEYS[1], 'XX', now, lease)
  else
    lost[#lost + 1] = lease
  end
end
return lost
