-- Notes who is at work on deliveries: from now on only the holder of this lease can commit or settle them.
--
-- KEYS     1 index of unacked (sorted set)  then for each delivery its record (hash)
-- ARGV     1 for how long (s) a record is kept  then for each delivery the lease that its message is held by
-- Returns  for each delivery {standing, 1 if an earlier worker committed it and never told its end, progress, result, the
--          server's time (s since 1970), 1 if there was a record, since when it is due or empty}: "ours"; "lost" (the lease is
--          gone); "ended" (result: what is still to be stored elsewhere, if anything)
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
local answers = {}
for i = 2, #KEYS do
  local lease = ARGV[i]
  -- A server without memory refuses a script whose first write may need some; this one needs none, and opens the way.
  local is_known = redis.call('EXPIRE', KEYS[i], ARGV[1])
  local known = redis.call('HMGET', KEYS[i], 'ended', 'committed', 'progress', 'result', 'due')
  local ended, committed, progress, result, due = unpack(known)
  if ended then
    redis.call('EXPIRE', KEYS[i], ended)
    answers[#answers + 1] = {'ended', 0, '', result or '', now, is_known, ''}
  elseif not redis.call('ZSCORE', KEYS[1], lease) then
    answers[#answers + 1] = {'lost', 0, '', '', now, is_known, ''}
  else
    redis.call('HSET', KEYS[i], 'state', 'sending', 'fence', lease)
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    answers[#answers + 1] = {'ours', committed and 1 or 0, progress or '', '', now, is_known, due or ''}
  end
end
return answers
