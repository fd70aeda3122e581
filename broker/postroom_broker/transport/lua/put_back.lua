-- Ends leases and puts their messages where they are consumed next, or into the list of dead ones: in one step, and only
-- those whose lease is still there, so that two who return the same message return it once.
--
-- KEYS     1 unacked (hash)  2 its index (sorted set)  then for each message the list that it goes to
-- ARGV     1 for how long (s) a lease must not have been renewed; empty: return it in any case
--          then for each message: its lease id, the message
-- Returns  how many were put back
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local count = 0
for i = 3, #KEYS do
  local lease, message = ARGV[2 * i - 4], ARGV[2 * i - 3]
  local renewed_at = redis.call('ZSCORE', KEYS[2], lease)
  if renewed_at and (ARGV[1] == '' or tonumber(renewed_at) <= now - ARGV[1]) then
    redis.call('ZREM', KEYS[2], lease)
    redis.call('HDEL', KEYS[1], lease)
    redis.call('RPUSH', KEYS[i], message)
    count = count + 1
  end
end
return count
