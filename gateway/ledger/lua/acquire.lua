#!lua flags=allow-oom
-- Gets leave to call a model candidate: its circuit is closed (or this is the one probe) and a slot is free.
-- KEYS  1 any key of ours
-- ARGV  1 candidate, 2 token, 3 most calls at once (0: no limit), 4 lease ms
-- Returns  { 'granted' | 'probe' (granted, and the one call that may go through an open circuit), 0 }
--          | { 'wait', ms until this waiter's own slot } | { 'open', ms until the circuit lets a probe through }

local candidate, token, limit, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local FORGET_MS = 10000 -- a waiter that is this late does not come back
local UNKNOWN_MS = 2000 -- what a call takes, before the first has told
local slots, waiters, circuit = K.slots .. candidate, K.waiters .. candidate, K.circuit .. candidate
local now = clock()
local seen = redis.call('HMGET', circuit, 'open_until', 'probe', 'probe_until', 'took')
local verdict = 'granted'

redis.call('SADD', K.candidates, candidate)
if seen[1] then
  local closed = tonumber(seen[1])
  if seen[2] ~= token then closed = math.max(closed, tonumber(seen[3] or closed)) end -- another one probes
  if closed > now then return { 'open', closed - now } end
  verdict = 'probe'
end
if limit > 0 then
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
  if redis.call('ZCARD', slots) >= limit and not redis.call('ZSCORE', slots, token) then
    redis.call('ZREMRANGEBYSCORE', waiters, '-inf', now)
    local place = redis.call('ZRANK', waiters, token)
    local after = math.ceil(((place or redis.call('ZCARD', waiters)) + 1) * tonumber(seen[4] or UNKNOWN_MS) / limit)
    if not place then -- who asks again keeps the place; who does not come back is forgotten
      redis.call('ZADD', waiters, now + after + FORGET_MS, token)
      redis.call('PEXPIRE', waiters, after + 2 * FORGET_MS)
    end
    return { 'wait', after }
  end
  redis.call('ZREM', waiters, token)
  redis.call('ZADD', slots, now + lease, token)
  redis.call('PEXPIRE', slots, lease + 60000)
end
if verdict == 'probe' then redis.call('HSET', circuit, 'probe', token, 'probe_until', now + lease) end
return { verdict, 0 }
