-- Moves a delivery that waits for its time to another time; its idempotency key, if it has one, lives as long as that asks.
--
-- KEYS     1 record (hash)  2 ids by the time they are due (sorted set)
-- ARGV     1 id  2 when it is due from now on (s since 1970)  3 for how long (s) the record is kept
--          4 for how long (s) the idempotency key is kept
-- Returns  1, or 0 when it does not wait any more
if redis.call('HGET', KEYS[1], 'state') ~= 'scheduled' or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], 'due', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local key = redis.call('HGET', KEYS[1], 'key')
if key then redis.call('EXPIRE', key, ARGV[4]) end
return 1
