-- Hands on the news that a delivery has ended: puts the task that tells it into its queue. It is no script of its own: those
-- that write an end begin with this text, so that end and news are one step, and the news costs nothing where there is none.
--
-- It is a message as `task_message.py` makes them, with what is public and the sealed destination. Its id is a UUID of the
-- delivery's id (version 5, RFC 9562), the same however often it is told.
--
-- KEYS     none of its own: it is told which
-- ARGV     none of its own
-- Returns  nothing; it defines `hand_on(queue, id, state, code, destination)`
local NAMESPACE = '\106\177\145\247\000\013\070\051\152\054\198\212\187\076\013\203'

local function news_id(id)
  local hash = redis.sha1hex(NAMESPACE .. id)
  local variant = string.format('%x', 8 + tonumber(string.sub(hash, 17, 17), 16) % 4)
  return table.concat({
    string.sub(hash, 1, 8), string.sub(hash, 9, 12), '5' .. string.sub(hash, 14, 16),
    variant .. string.sub(hash, 18, 20), string.sub(hash, 21, 32)
  }, '-')
end

local function hand_on(queue, id, state, code, destination)
  local news = cjson.encode({id, state, tonumber(code) or cjson.null, destination})
  local body = '[' .. news .. ', {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
  local tag = cjson.encode(news_id(id))
  redis.call('LPUSH', queue, '{"body": ' .. cjson.encode(body) .. ', "content-encoding": "utf-8", '
    .. '"content-type": "application/json", "headers": {"lang": "py", "task": "postroom.tell", "id": ' .. tag
    .. ', "root_id": ' .. cjson.encode(id) .. ', "parent_id": null, "group": null, "retries": 0, '
    .. '"timelimit": [null, null], "eta": null, "expires": null, "argsrepr": "<sealed>", "kwargsrepr": "<sealed>", '
    .. '"origin": "ledger", "ignore_result": false}, "properties": {"correlation_id": ' .. tag
    .. ', "reply_to": "", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": ' .. cjson.encode(queue)
    .. '}, "delivery_tag": ' .. tag .. ', "priority": 0, "body_encoding": null}}')
end
