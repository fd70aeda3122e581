-- Ends leases and puts their messages where they are consumed next, or into the list of dead ones: in one step, and only
-- those whose lease is still there, so that two who return the same message return it once.
--
-- KEYS     1 unacked (hash)  2 its index (sorted set)
--          then for each message the list that it goes to, and the ledger's record of its delivery (hash)
-- ARGV     1 for how long (s) a lease must not have been renewed; empty: return it in any case
--          then for each message: its lease id, the message, why it is dead (empty: it is not)
-- Returns  how many were put back
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local count = 0
for n = 1, (#KEYS - 2) / 2 do
  local destination, record = KEYS[2 * n + 1], KEYS[2 * n + 2]
  local lease, message, reason = ARGV[3 * n - 1], ARGV[3 * n], ARGV[3 * n + 1]
  local renewed_at = redis.call('ZSCORE', KEYS[2], lease)
  if renewed_at and (ARGV[1] == '' or tonumber(renewed_at) <= now - ARGV[1]) then
    redis.call('ZREM', KEYS[2], lease)
    redis.call('HDEL', KEYS[1], lease)
    redis.call('RPUSH', destination, message)
    -- Who asks for the delivery learns that it waits again: for a worker, or for an operator (1500 is the contract's INTERNAL).
    if reason == '' and redis.call('HGET', record, 'state') == 'sending' then
      redis.call('HSET', record, 'state', 'queued')
    elseif reason ~= '' and redis.call('EXISTS', record) == 1 and redis.call('HEXISTS', record, 'ended') == 0 then
      redis.call('HSET', record, 'state', 'held', 'reason', reason, 'code', 1500)
    end
    count = count + 1
  end
end
return count
