-- Finds messages whose lease has not been renewed in time. It takes nothing: `put_back` does, and looks again.
--
-- KEYS     1 unacked (hash)  2 its index (sorted set)
-- ARGV     1 how long a lease of ours lasts (s)  2 how long another transport's lasts (s)
--          3 what the ids of our leases start with  4 how many to find at most
--          5 how many bytes of them at most; one is found whatever its size
-- Returns  a flat list: lease id, what stands under it, and so on
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local ours, found, left = ARGV[3], {}, tonumber(ARGV[5])
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now - ARGV[1]))) do
  local is_ours = string.sub(lease, 1, #ours) == ours
  if is_ours or tonumber(redis.call('ZSCORE', KEYS[2], lease)) <= now - ARGV[2] then
    local record = redis.call('HGET', KEYS[1], lease)
    if record then
      left = left - #record
      if left < 0 and #found > 0 then break end
      found[#found + 1] = lease
      found[#found + 1] = record
    else
      redis.call('ZREM', KEYS[2], lease)
    end
  end
  if #found >= 2 * ARGV[4] then break end
end
return found
