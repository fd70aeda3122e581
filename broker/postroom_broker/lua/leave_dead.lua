-- Takes one entry out of the list of dead messages and, if it is to be delivered again, puts its message at the end of a
-- queue: in one step, and only if the entry is still there, so that two operators do it once.
--
-- KEYS     1 the dead ones (list)  2 the queue (list), for a message that is to be delivered again
-- ARGV     1 the entry, as it lies there  2 the message, if there is a queue
-- Returns  1, or 0 when the entry was gone and nothing was done
local queue = KEYS[2]
-- A script that fails half-way is not undone: a queue that is no list has to show before anything is taken.
if queue then redis.call('LLEN', queue) end
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end
-- From here on the fate of the delivery is decided, queued again or dropped for good. Whatever else Redis keeps about a
-- delivery has to follow here, and nowhere else.
if queue then redis.call('LPUSH', queue, ARGV[2]) end
return 1
