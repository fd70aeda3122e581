-- Counts what waits, and tells since when the message is due that each queue gives out next. It changes nothing.
--
-- KEYS     1 index of unacked (sorted set)  2 ids by the time they are due (sorted set)  3 ids that are held (sorted set)
--          4 dead letters (list)  then for each queue its list, and the list before it
-- ARGV     1 what the key of a delivery's record starts with
-- Returns  {the server's time (s since 1970), messages that workers hold, delayed ones, when the first of these is due or
--          empty, held ones, dead ones, then for each queue {how many wait, since when its next one is due or empty}}

-- The id stands in the message's headers, in clear quotes; inside its body, which is a JSON text, quotes are escaped.
-- Reading it here spares the way of a whole message, which may be megabytes, to whoever asks.
local function due_of(message)
  local headers = string.find(message, '"headers"', 1, true)
  local id = headers and string.match(message, '"id": ?"([%w-]+)"', headers)
  return id and redis.call('HGET', ARGV[1] .. id, 'due') or ''
end

local time = redis.call('TIME')
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local answer = {
  string.format('%d.%06d', time[1], time[2]), redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), first[2] or '',
  redis.call('ZCARD', KEYS[3]), redis.call('LLEN', KEYS[4])
}
for i = 5, #KEYS, 2 do
  local message = redis.call('LINDEX', KEYS[i + 1], -1) or redis.call('LINDEX', KEYS[i], -1)
  local count = redis.call('LLEN', KEYS[i]) + redis.call('LLEN', KEYS[i + 1])
  answer[#answer + 1] = {count, message and due_of(message) or ''}
end
return answer
