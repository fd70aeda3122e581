-- Takes one entry out of the list of dead letters and, if it is to be delivered again, puts its message at the end of a
-- queue: in one step, and only if the entry is still there, so that two operators do it once. The record follows.
--
-- KEYS     1 the dead ones (list)  2 the queue of news (list)
--          3 the record (hash) and 4 the result (string) of its delivery, if it has an id
--          then the queue (list), for a message that is to be delivered again
-- ARGV     1 the entry, as it lies there  2 the message, if there is a queue; else empty
--          3 the result if nobody can have got the mail  4 the result if somebody may have got it
--          5 for how long (s) an open record is kept  6 for how long (s) an ended one and a result are kept
--          7 the delivery's id  8 the code if nobody can have got the mail  9 the code if somebody may have got it
-- Returns  1, or 0 when the entry was gone and nothing was done
local has_record, is_requeued = #KEYS >= 4, ARGV[2] ~= ''
local record, queue = has_record and KEYS[3], is_requeued and KEYS[#KEYS]
-- A script that fails half-way is not undone: a key of a wrong type has to show before anything is taken.
redis.call('LLEN', queue or KEYS[2])
local state, ended, committed, progress, destination
if has_record then
  local known = redis.call('HMGET', record, 'state', 'ended', 'committed', 'progress', 'on_outcome')
  state, ended, committed, progress, destination = unpack(known)
end
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end
if queue then redis.call('LPUSH', queue, ARGV[2]) end
if not state or ended then return 1 end
if queue then
  redis.call('HSET', record, 'state', 'queued', 'due', redis.call('TIME')[1])
  redis.call('EXPIRE', record, ARGV[5])
  return 1
end
local is_in_doubt = committed or progress
local result = is_in_doubt and ARGV[4] or ARGV[3]
redis.call('HDEL', record, 'committed', 'progress', 'fence', 'on_outcome')
redis.call('HSET', record, 'state', is_in_doubt and 'unknown' or 'cancelled')
redis.call('HSET', record, 'ended', ARGV[6], 'ended_by', 'operator', 'result', result)
redis.call('EXPIRE', record, ARGV[6])
redis.call('SET', KEYS[4], result, 'EX', ARGV[6])
redis.call('PUBLISH', KEYS[4], result)
if destination then
  hand_on(KEYS[2], ARGV[7], is_in_doubt and 'unknown' or 'cancelled', is_in_doubt and ARGV[9] or ARGV[8], destination)
end
return 1
