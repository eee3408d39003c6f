#!lua flags=allow-oom
-- Gets leave to call a model candidate: its circuit is closed (or this is the one probe) and a slot is free.
-- KEYS  1 any key of ours
-- ARGV  1 candidate, 2 token, 3 most calls at once (0: no limit), 4 lease ms
-- Returns  { 'granted', 0, '1' if it is the probe } | { 'wait', ms until this waiter's own slot, '0' }
--          | { 'open', ms until the circuit lets a probe through, '0' }

local candidate, token, limit, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local FORGET_MS = 10000 -- a waiter that is this late does not come back
local UNKNOWN_MS = 2000 -- what a call takes, before the first has told
local slots, waiters, circuit = K.slots .. candidate, K.waiters .. candidate, K.circuit .. candidate
local now = clock()
local seen = redis.call('HMGET', circuit, 'open_until', 'probe', 'probe_until', 'took')
local probing = '0'

redis.call('SADD', K.candidates, candidate)
if seen[1] then
  if tonumber(seen[1]) > now then return { 'open', tonumber(seen[1]) - now, '0' } end
  if seen[2] and seen[2] ~= token and tonumber(seen[3]) > now then return { 'open', tonumber(seen[3]) - now, '0' } end
  probing = '1'
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
    return { 'wait', after, '0' }
  end
  redis.call('ZREM', waiters, token)
  redis.call('ZADD', slots, now + lease, token)
  redis.call('PEXPIRE', slots, lease + 60000)
end
if probing == '1' then redis.call('HSET', circuit, 'probe', token, 'probe_until', now + lease) end
return { 'granted', 0, probing }
