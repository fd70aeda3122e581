-- Stores a message until it is due. Storing one under the same id again replaces it.
--
-- KEYS     1 ids by the time they are due (sorted set)  2 messages by id (hash)  3 unacked (hash)  4 its index (sorted set)
-- ARGV     1 id  2 when it is due (s since 1970)  3 name of its queue, a newline, the message
--          4 the lease it is held by; empty: none
-- Returns  1, or 0 when that lease is gone and nothing was stored
if ARGV[4] ~= '' then
  redis.call('ZREM', KEYS[4], ARGV[4])
  if redis.call('HDEL', KEYS[3], ARGV[4]) == 0 then return 0 end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
