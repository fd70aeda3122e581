-- Takes a delivery in: its record, its message in the queue or among the delayed ones, and its idempotency key, in one
-- step. What was taken in before is told and not taken in again.
--
-- KEYS     1 record (hash)  2 queue (list)  3 ids by the time they are due (sorted set)  4 delayed messages by id (hash)
--          then the idempotency key as each key of the ring hashes it (strings), the sealing key's first; may be none
-- ARGV     1 id  2 message  3 when it is due (s since 1970); empty: now  4 for how long (s) the record is kept
--          5 for how long (s) the idempotency key is kept  6 when it expires (s since 1970); empty: never
--          7 who is told of its end (sealed); empty: nobody
--          then the fingerprint of what is asked for, by each key of the ring, in the same order
-- Returns  {"entered" or "repeated" or "conflict" or "expired", the id of the delivery that it is}
local fingerprint = ARGV[8]
for i = 5, #KEYS do
  local known = redis.call('GET', KEYS[i])
  if known then
    local space = string.find(known, ' ', 1, true)
    local same = string.sub(known, space + 1) == ARGV[i + 3]
    return {same and 'repeated' or 'conflict', string.sub(known, 1, space - 1)}
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local known = redis.call('HGET', KEYS[1], 'fingerprint')
  for i = 8, #ARGV do
    if known == ARGV[i] then return {'repeated', ARGV[1]} end
  end
  return {'conflict', ARGV[1]}
end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
if ARGV[6] ~= '' and tonumber(ARGV[6]) <= now then return {'expired', ARGV[1]} end
local waits = ARGV[3] ~= '' and tonumber(ARGV[3]) > now
if waits then
  redis.call('HSET', KEYS[4], ARGV[1], KEYS[2] .. '\n' .. ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
else
  redis.call('LPUSH', KEYS[2], ARGV[2])
end
redis.call('HSET', KEYS[1], 'state', waits and 'scheduled' or 'queued', 'fingerprint', fingerprint)
redis.call('HSET', KEYS[1], 'due', waits and ARGV[3] or string.format('%d.%06d', time[1], time[2]))
if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'on_outcome', ARGV[7]) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
if KEYS[5] then
  redis.call('SET', KEYS[5], ARGV[1] .. ' ' .. fingerprint, 'EX', ARGV[5])
  redis.call('HSET', KEYS[1], 'key', KEYS[5])
end
return {'entered', ARGV[1]}
