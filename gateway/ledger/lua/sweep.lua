#!lua flags=allow-oom
-- Looks at everything that is due; any worker may call it at any time. After an outage it extends all leases first.
-- KEYS  1 any key of ours
-- ARGV  1 most works to look at, 2 lease ms, 3 gap ms that counts as an outage, 4 who sweeps
-- Returns  { woken, recovered, extended, ms until the next is due (null: none is) }

local UNSEEN_MS = 60000
local SAMPLE, ROUNDS = 20, 50

local most, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock()
local woken, recovered, extended = 0, 0, 0

redis.call('ZADD', K.workers, now, ARGV[4])
redis.call('ZREMRANGEBYSCORE', K.workers, '-inf', now - UNSEEN_MS)

local last = tonumber(redis.call('GET', K.swept) or now)
redis.call('SET', K.swept, now, 'PX', 86400000)
if now - last > tonumber(ARGV[3]) then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.due, '-inf', now)) do
    guarded(id, now, function()
      if redis.call('HGET', K.work .. id, 'state') ~= 'running' then return end
      redis.call('ZADD', K.due, now + lease, id)
      extended = extended + 1
    end)
  end
end

local function look_at(id)
  local work = redis.call('HMGET', K.work .. id, 'state', 'group')
  local state, group = work[1], work[2]
  if not state or TERMINAL[state] then
    redis.call('ZREM', K.due, id)
  elseif state == 'waiting' then
    resume(id, group, now)
    woken = woken + 1
  else -- its owner is silent, or its wake-up was lost on the way: the lane tells which
    local lane = K.lane .. redis.call('HGET', K.group .. group, 'lane')
    if state == 'running' then
      redis.call('HSET', K.work .. id, 'state', 'queued', 'at', now) -- the fence stays: a renewal still wins it back
      recovered = recovered + 1
    end
    if not redis.call('LPOS', lane, id) then
      redis.call('RPUSH', lane, id)
      woken = woken + 1
    end
    redis.call('ZADD', K.due, now + WOKEN_MS, id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.due, '-inf', now, 'LIMIT', 0, most)) do
  guarded(id, now, function() look_at(id) end)
end

-- Drop entries whose work has reached its TTL: a random sample, and more as long as a quarter of it was to be dropped.
local function trim(list)
  for _ = 1, ROUNDS do
    local gone = 0
    for _, id in ipairs(redis.call('ZRANDMEMBER', list, SAMPLE)) do
      if redis.call('EXISTS', K.work .. id) == 0 then gone = gone + redis.call('ZREM', list, id) end
    end
    if gone < SAMPLE / 4 then return end
  end
end

trim(K.index)
trim(K.dead)

local next = redis.call('ZRANGE', K.due, 0, 0, 'WITHSCORES')
return { woken, recovered, extended, next[2] and math.max(0, next[2] - now) or false }
