-- Takes messages from their queues and puts each under a lease, in one step: at no moment is a message in neither place.
-- The server's clock dates the lease, so that the clocks of workers need not agree.
--
-- KEYS     1 unacked (hash)  2 its index (sorted set)  then for each queue, most urgent first: its front, itself (lists)
-- ARGV     1 how many messages at most  2 how many turns this consumer has had  3 each how many-eth turn is reserved
--          4 what the ids of the new leases start with  then for each queue its name, as JSON
-- Returns  a flat list: number of the queue (from 1), lease id, message, and so on
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
local queues = (#KEYS - 2) / 2
local turns, reserved = tonumber(ARGV[2]), tonumber(ARGV[3])
local is_dry = {}

local function pop(queue)
  if is_dry[queue] then return false end
  local message = redis.call('RPOP', KEYS[2 * queue + 1]) or redis.call('RPOP', KEYS[2 * queue + 2])
  is_dry[queue] = not message
  return message
end

-- Most turns go to the most urgent queue that has anything; the reserved ones go round among the others.
local function next_message(turn)
  if queues > 1 and turn % reserved == 0 then
    local favoured = 2 + (turn / reserved) % (queues - 1)
    local message = pop(favoured)
    if message then return favoured, message end
  end
  for queue = 1, queues do
    local message = pop(queue)
    if message then return queue, message end
  end
end

local claimed = {}
for n = 1, tonumber(ARGV[1]) do
  local queue, message = next_message(turns + n)
  if not queue then break end
  local lease = ARGV[4] .. n
  -- The form in which kombu's own transport restores a message: the message, its exchange (none), its routing key.
  redis.call('HSET', KEYS[1], lease, '[' .. message .. ',"",' .. ARGV[4 + queue] .. ']')
  redis.call('ZADD', KEYS[2], now, lease)
  claimed[#claimed + 1] = queue
  claimed[#claimed + 1] = lease
  claimed[#claimed + 1] = message
end
return claimed
