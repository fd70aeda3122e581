-- Writes down how attempts ended: the record, Celery's result, the acknowledgement, and what is to come, in one step each.
--
-- KEYS     1 unacked (hash)  2 its index (sorted set)  3 ids by the time they are due (sorted set)
--          4 delayed and held messages by id (hash)  5 ids that are held (sorted set)  6 dead letters (list)
--          7 the queue of news (list)  then for each delivery: its record (hash), its result (string)
-- ARGV     1 for how long (s) an open record is kept, or an ended one whose message lies in its queue again
--          2 for how long (s) any other ended one and a result are kept
--          then for each delivery: id, lease, what to do ("end", "retry", "hold", "bury"), its state from now on, result,
--          where that goes ("here", or "record": another server is to store it, and the message stays leased until then),
--          progress, message with its queue (of a dead one: its JSON), wait (s), code, reason
-- Returns  for each delivery its standing: "ours" (written down now or before), "lost", "ended" (by somebody else)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6

local function end_lease(lease)
  redis.call('ZREM', KEYS[2], lease)
  redis.call('HDEL', KEYS[1], lease)
end

local function settle(record, result_key, id, lease, act, state, result, where, progress, message, wait, code, reason)
  local known = redis.call('HMGET', record, 'ended', 'ended_by', 'fence', 'committed', 'on_outcome')
  local ended, ended_by, fence, committed, destination = unpack(known)
  if ended then
    end_lease(lease)
    return ended_by == lease and 'ours' or 'ended'
  end
  local is_held = redis.call('HEXISTS', KEYS[1], lease) == 1
  -- What a worker knows for certain counts also when its lease is gone, as long as nobody else has committed since.
  local may_tell = fence == lease or committed == lease
  if not may_tell then
    return 'lost'
  end
  if act ~= 'end' and not is_held then
    -- The message lies in its queue again. What was learned is worth keeping; the next worker goes on from there.
    if act == 'retry' and fence == lease and committed == lease then
      redis.call('HDEL', record, 'committed')
      redis.call('HSET', record, 'progress', progress)
    end
    return redis.call('HGET', record, 'settled_by') == lease and 'ours' or 'lost'
  end
  -- Removing comes first: unlike writing, a server without memory never refuses it, and what follows it.
  if act ~= 'end' or where == 'here' then end_lease(lease) end
  if act == 'end' then
    if destination then
      -- The news goes first: should it be refused, the end is still to be told. Before it comes what needs no memory.
      redis.call('EXPIRE', record, ARGV[1])
      hand_on(KEYS[7], id, state, code, destination)
    end
    redis.call('HDEL', record, 'committed', 'progress', 'fence', 'on_outcome')
    local is_nowhere = is_held
    if not is_held then
      is_nowhere = redis.call('ZREM', KEYS[3], id) + redis.call('ZREM', KEYS[5], id) > 0
      redis.call('HDEL', KEYS[4], id)
    end
    -- A message that lies in its queue again may lie there for long: whoever takes it must find that it is over.
    local kept_for = is_nowhere and ARGV[2] or ARGV[1]
    redis.call('HSET', record, 'state', state, 'ended', kept_for, 'ended_by', lease)
    if where == 'record' then redis.call('HSET', record, 'result', result) end
    redis.call('EXPIRE', record, kept_for)
  else
    redis.call('HSET', record, 'state', state, 'settled_by', lease, 'code', code, 'reason', reason)
    if progress ~= '' then redis.call('HSET', record, 'progress', progress) end
    redis.call('EXPIRE', record, ARGV[1])
    if act == 'bury' then
      redis.call('RPUSH', KEYS[6], message)
    else
      -- Who committed before this worker, and lost its lease, may still come and tell the end.
      if committed == lease then redis.call('HDEL', record, 'committed') end
      redis.call('HSET', KEYS[4], id, message)
      if act == 'retry' then
        local due = string.format('%.6f', now + tonumber(wait))
        redis.call('ZADD', KEYS[3], due, id)
        redis.call('HSET', record, 'due', due)
      else
        redis.call('ZADD', KEYS[5], now, id)
      end
    end
  end
  if where == 'here' then
    if result ~= '' then redis.call('SET', result_key, result, 'EX', ARGV[2]) end
    -- Who waits with Celery reads JSON with a status; one that it does not know is no end to it.
    redis.call('PUBLISH', result_key, result ~= '' and result or '{"status": "HELD"}')
  end
  return 'ours'
end

local answers = {}
for n = 1, (#KEYS - 7) / 2 do
  local first = 11 * n - 8
  answers[n] = settle(KEYS[6 + 2 * n], KEYS[7 + 2 * n], unpack(ARGV, first, first + 10))
end
return answers
