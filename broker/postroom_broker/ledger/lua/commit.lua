-- Notes that the last octets of messages are about to leave. A worker that lost its lease, a delivery that was called back
-- and one whose time is over are refused: then they must not leave.
--
-- KEYS     1 index of unacked (sorted set)  then for each delivery its record (hash)
-- ARGV     1 for how long (s) a record is kept
--          then for each delivery: lease, progress as it is if nothing more is heard, when it expires (s since 1970) or empty
-- Returns  for each delivery its standing: "ours", "lost", "ended", "expired"
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local answers = {}
for i = 2, #KEYS do
  local lease, progress, expires_at = ARGV[3 * i - 4], ARGV[3 * i - 3], ARGV[3 * i - 2]
  local ended, fence = unpack(redis.call('HMGET', KEYS[i], 'ended', 'fence'))
  local answer = 'ours'
  if ended then
    answer = 'ended'
  elseif fence ~= lease or not redis.call('ZSCORE', KEYS[1], lease) then
    answer = 'lost'
  elseif expires_at ~= '' and now >= tonumber(expires_at) then
    answer = 'expired'
  else
    -- The first write needs no memory, which opens the way for the others: a full server must not stop what has begun.
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    redis.call('ZADD', KEYS[1], 'XX', string.format('%d.%06d', time[1], time[2]), lease)
    redis.call('HSET', KEYS[i], 'committed', lease, 'progress', progress)
  end
  answers[#answers + 1] = answer
end
return answers
