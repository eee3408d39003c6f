#!lua flags=allow-oom
-- Lengthens leases, even just expired ones, but never long past the deadline of the attempt; tells where each run is.
-- KEYS  1 any key of ours
-- ARGV  1 lease ms, then 4 per work: id, fence, its step, what it waits for
-- Returns  per work 1 if it is still ours, 0 if it was lost or its deadline is over

local lease, now = tonumber(ARGV[1]), clock()

local function renew(id, fence, step, reason)
  local work = read(id, 'deadline')
  if not held(work, fence) then return 0 end
  local last = work.deadline + lease -- for recording that it was too late
  if now >= last then return 0 end
  redis.call('HSET', K.work .. id, 'state', 'running', 'step', step, 'reason', reason)
  redis.call('ZADD', K.due, math.min(now + lease, last), id)
  return 1
end

local answers = {}
for at = 2, #ARGV, 4 do
  answers[#answers + 1] = renew(unpack(ARGV, at, at + 3))
end
return answers
