-- Lets a delivery go on that waited for an operator's word.
--
-- KEYS     1 record (hash)  2 ids that are held (sorted set)  3 ids by the time they are due (sorted set)
-- ARGV     1 id  2 for how long (s) the record is kept
-- Returns  1, or 0 when it is not held
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], string.format('%d.%06d', time[1], time[2]), ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'retrying', 'due', time[1])
-- The doubt has been decided about: the next worker must not hold it again for the same one.
redis.call('HDEL', KEYS[1], 'committed')
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
