#!lua flags=allow-oom
-- Ends a run (its result, and a delivery per sink, in one go) or a delivery. The same call twice is as once.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 fence, 3 state (done | discarded | delivered), 4 result or receipt (JSON), 5 reason, 6 keep ms,
--       7 keep dead ms, then 4 per delivery: id, sink, the sink's cap, timeout ms
-- Returns  'ok' | 'stale'

local id, fence, state, keep, dead = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local work = read(id, 'pipeline', 'trace')
if TERMINAL[work.state] and work.fence == fence then return 'ok' end
if not held(work, fence) then return 'stale' end

local now = clock()
local made = {}
for at = 8, #ARGV, 4 do
  local delivery, sink = ARGV[at], ARGV[at + 1]
  local group = 'sink:' .. sink
  redis.call('HSET', K.work .. delivery, 'kind', 'delivery', 'run', id, 'sink', sink, 'group', group, 'source', work.source,
    'pipeline', work.pipeline, 'trace', work.trace, 'generation', work.generation, 'timeout', ARGV[at + 3], 'received', now)
  register(group, ARGV[at + 2], 'deliveries')
  queue(delivery, group, now)
  made[#made + 1] = delivery
end
close(work, state, now, keep, dead, 'result', ARGV[4], 'reason', ARGV[5], 'class', '', 'step', '',
  'deliveries', table.concat(made, ' '), 'pending', #made)
return 'ok'
