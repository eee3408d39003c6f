#!lua flags=allow-oom
-- Works something again: from where it failed (the same delivery ids), or from scratch (a new generation).
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 '1' from scratch, 3 what the audit trail says of it (JSON), or '', 4 most of its group that may wait, or 0,
--       5 keep ms, 6 keep dead ms
-- Returns  'queued' | 'busy' (it is running or queued) | 'gone' (forgotten, or a delivery whose result was replaced) |
--          'nothing' (finished, and had no delivery to repeat) | 'full' (so many of its group wait already)

local id, now = ARGV[1], clock()
local work = read(id, 'deliveries')
local state, group, run = work.state, work.group, work.run
local scratch = ARGV[2] == '1' and work.source ~= ALERTS -- a notice has no pipeline that could work it anew
if not state then return 'gone' end
if run and redis.call('HGET', K.work .. run, 'generation') ~= work.generation then return 'gone' end
if state == 'waiting' then
  redis.call('HSET', K.work .. id, 'due', now)
  redis.call('ZADD', K.due, now, id)
  note(ARGV[3], now)
  return 'queued'
end
if not TERMINAL[state] then return 'busy' end
if redis.call('EXISTS', K.event .. (run or id)) == 0 then return 'gone' end
if tonumber(ARGV[4]) > 0 and redis.call('LLEN', K.backlog .. group) >= tonumber(ARGV[4]) then return 'full' end

local function keep(one)
  redis.call('PERSIST', K.work .. one)
  for _, kind in ipairs({ 'event', 'checkpoints', 'steps' }) do redis.call('PERSIST', K[kind] .. one) end
end

local function redeliver(one)
  keep(one)
  redis.call('HINCRBY', K.work .. (run or id), 'pending', 1)
  queue(one, redis.call('HGET', K.work .. one, 'group'), now)
end

-- What a run delivers is its present result: deliveries of the one before it end here.
local function start_over()
  for _, one in ipairs(deliveries(work)) do
    local delivery = read(one)
    if not TERMINAL[delivery.state] then
      redis.call('HDEL', K.work .. one, 'fence')
      close(delivery, 'discarded', now, ARGV[5], ARGV[6], 'reason', 'replaced by a replay from scratch')
    end
  end
  redis.call('DEL', K.checkpoints .. id, K.steps .. id)
  redis.call('HINCRBY', K.work .. id, 'generation', 1)
  redis.call('HDEL', K.work .. id, 'bytes', 'result', 'deliveries', 'pending')
end

if run then
  keep(run)
  redeliver(id)
elseif state == 'done' and not scratch then
  local ids, over = deliveries(work), {}
  if #ids == 0 then return 'nothing' end
  for _, one in ipairs(ids) do
    if TERMINAL[redis.call('HGET', K.work .. one, 'state')] then over[#over + 1] = one end
  end
  if #over == 0 then return 'busy' end
  keep(id)
  for _, one in ipairs(over) do redeliver(one) end
else
  if scratch then start_over() end
  keep(id)
  queue(id, group, now)
end
count('replayed')
note(ARGV[3], now)
return 'queued'
