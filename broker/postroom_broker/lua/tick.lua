-- Notes that a beat ticks, and up to when it is done with each entry of its schedule; marks only ever move forward.
--
-- KEYS     1 which beats live, by when they ticked (sorted set)  2 marks by entry (hash of times, s since 1970)
-- ARGV     1 the beat  2 for how long (s) it is thought to live  3 for how long (s) a mark is kept that nobody moves, though others are
--          then an entry and its mark, for each that is to be moved
-- Returns  {the server's time (s since 1970), entry, mark, entry, mark...}
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
local newest = 0
for i = 4, #ARGV, 2 do
  local mark = tonumber(redis.call('HGET', KEYS[2], ARGV[i]))
  if not mark or mark < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  newest = math.max(newest, ARGV[i + 1])
end
local marks = redis.call('HGETALL', KEYS[2])
local answer = {string.format('%d.%06d', time[1], time[2])}
for i = 1, #marks, 2 do
  local mark = tonumber(marks[i + 1])
  if mark and mark >= newest - ARGV[3] then
    answer[#answer + 1] = marks[i]
    answer[#answer + 1] = marks[i + 1]
  else
    redis.call('HDEL', KEYS[2], marks[i])
  end
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return answer
