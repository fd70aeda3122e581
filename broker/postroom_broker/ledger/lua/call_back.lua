-- Ends a delivery that nobody is about to send: called back by its sender, or given up by an operator.
--
-- KEYS     1 record (hash)  2 result (string)  3 ids by the time they are due (sorted set)
--          4 delayed and held messages by id (hash)  5 ids that are held (sorted set)  6 the queue of news (list)
-- ARGV     1 id  2 its state from now on  3 result  4 where that goes ("here" or "record")
--          5 for how long (s) the record is kept while its message may still lie in a queue  6 for how long (s) otherwise,
--          and the result
--          7 the progress that state and result were made from; empty: none  8 the code of its error; empty: none
-- Returns  {"ended", state} (by this call), {"over", state} (it had ended before), {"changed", state} (look again),
--          {"committed", state} (too late), {"not_found", ""}
local known = redis.call('HMGET', KEYS[1], 'state', 'ended', 'progress', 'committed', 'on_outcome')
local state, ended, progress, committed, destination = unpack(known)
if not state then return {'not_found', ''} end
if ended then return {'over', state} end
if committed and state == 'sending' then return {'committed', state} end
if (progress or '') ~= ARGV[7] then return {'changed', state} end
if destination then
  -- The news goes first: should it be refused, nothing has ended. Before it comes what needs no memory.
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  hand_on(KEYS[6], ARGV[1], ARGV[2], ARGV[8], destination)
end
local was_waiting = redis.call('ZREM', KEYS[3], ARGV[1]) + redis.call('ZREM', KEYS[5], ARGV[1]) > 0
local kept_for = was_waiting and ARGV[6] or ARGV[5]
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[1], 'committed', 'progress', 'fence', 'on_outcome')
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'ended', kept_for, 'ended_by', 'sender')
redis.call('EXPIRE', KEYS[1], kept_for)
if ARGV[4] == 'here' then
  redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[6])
  redis.call('PUBLISH', KEYS[2], ARGV[3])
else
  redis.call('HSET', KEYS[1], 'result', ARGV[3])
end
return {'ended', ARGV[2]}
