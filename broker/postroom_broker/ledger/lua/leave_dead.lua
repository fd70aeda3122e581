-- Takes one entry out of the list of dead messages and, if it is to be delivered again, puts its message at the end of a
-- queue: in one step, and only if the entry is still there, so that two operators do it once. The record follows.
--
-- KEYS     1 the dead ones (list)  2 the record (hash) and 3 the result (string) of its delivery, if it has an id
--          then the queue (list), for a message that is to be delivered again
-- ARGV     1 the entry, as it lies there  2 the message, if there is a queue; else empty
--          3 the result if nobody can have got the mail  4 the result if somebody may have got it
--          5 for how long (s) an open record is kept  6 for how long (s) an ended one and a result are kept
-- Returns  1, or 0 when the entry was gone and nothing was done
local has_record, is_requeued = #KEYS >= 3, ARGV[2] ~= ''
local record, queue = has_record and KEYS[2], is_requeued and KEYS[#KEYS]
-- A script that fails half-way is not undone: a key of a wrong type has to show before anything is taken.
if queue then redis.call('LLEN', queue) end
local state, ended, committed, progress
if has_record then
  state, ended, committed, progress = unpack(redis.call('HMGET', record, 'state', 'ended', 'committed', 'progress'))
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
redis.call('HDEL', record, 'committed', 'progress', 'fence')
redis.call('HSET', record, 'state', is_in_doubt and 'unknown' or 'cancelled')
redis.call('HSET', record, 'ended', ARGV[6], 'ended_by', 'operator', 'result', result)
redis.call('EXPIRE', record, ARGV[6])
redis.call('SET', KEYS[3], result, 'EX', ARGV[6])
redis.call('PUBLISH', KEYS[3], result)
return 1
