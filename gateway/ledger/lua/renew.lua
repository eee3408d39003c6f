#!lua flags=allow-oom
-- Lengthens leases, even just expired ones, but never long past the deadline of the attempt; tells where each run is.
-- KEYS  1 any key of ours
-- ARGV  1 lease ms, then 4 per work: id, fence, its step, what it waits for
-- Returns  per work 1 if it is still ours, 0 if it was lost or its deadline is over

local lease, now = tonumber(ARGV[1]), clock()
local answers = {}
for at = 2, #ARGV, 4 do
  local id, fence = ARGV[at], ARGV[at + 1]
  local deadline = tonumber(redis.call('HGET', K.work .. id, 'deadline') or 0)
  local ours = held(id, fence) and now < deadline + lease -- the last lease is for recording that it was too late
  if ours then
    redis.call('HSET', K.work .. id, 'state', 'running', 'step', ARGV[at + 2], 'reason', ARGV[at + 3])
    redis.call('ZADD', K.due, math.min(now + lease, deadline + lease), id)
  end
  answers[#answers + 1] = ours and 1 or 0
end
return answers
