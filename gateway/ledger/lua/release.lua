#!lua flags=allow-oom
-- Gives a slot back, wakes the first run that is suspended for one, and tells the circuit how the call went.
-- KEYS  1 any key of ours
-- ARGV  1 candidate, 2 token, 3 ok | failed | neutral, 4 ms the call took, 5 failures that open the circuit,
--       6 window ms they must fall in, 7 ms it stays open
-- Returns  1 if this opened the circuit

local AT_HAND = 12 -- so many awake waiters are enough to take the next slots

local candidate, token, outcome, took = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local circuit = K.circuit .. candidate
local now = clock()
if redis.call('ZREM', K.slots .. candidate, token) == 1 then
  for _, waiter in ipairs(redis.call('ZRANGE', K.waiters .. candidate, 0, AT_HAND - 1)) do
    local run = string.match(waiter, '^%S+') -- a token begins with the id of its run
    if redis.call('HGET', K.work .. run, 'state') == 'waiting' then
      resume(run, redis.call('HGET', K.work .. run, 'group'), now)
      break
    end
  end
end
local seen = redis.call('HMGET', circuit, 'probe', 'failures', 'since', 'took')
local probe = seen[1] == token
local opened = 0

if outcome == 'ok' then
  local mean = seen[4] and 0.8 * tonumber(seen[4]) + 0.2 * took or took
  redis.call('HSET', circuit, 'took', string.format('%.0f', mean))
  redis.call('HDEL', circuit, 'failures', 'since')
  if probe then redis.call('HDEL', circuit, 'open_until', 'probe', 'probe_until') end
elseif outcome == 'failed' then
  local since = tonumber(seen[3] or now)
  local failures = tonumber(seen[2] or 0) + 1
  if now - since > tonumber(ARGV[6]) then since, failures = now, 1 end
  redis.call('HSET', circuit, 'failures', failures, 'since', since)
  if probe or failures >= tonumber(ARGV[5]) then
    redis.call('HSET', circuit, 'open_until', now + tonumber(ARGV[7]))
    redis.call('HINCRBY', circuit, 'opened', 1)
    redis.call('HDEL', circuit, 'probe', 'probe_until', 'failures', 'since')
    opened = 1
  end
elseif probe then
  redis.call('HDEL', circuit, 'probe', 'probe_until')
end
redis.call('PEXPIRE', circuit, 86400000 + tonumber(ARGV[7]))
return opened
