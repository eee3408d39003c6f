#!lua flags=allow-oom
-- Gives a work up: a dead letter with its reason, which can be replayed.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 fence, 3 reason, 4 error class, 5 step, 6 '1' if it counts as an attempt, 7 keep dead ms
-- Returns  'ok' | 'stale'

local id, fence = ARGV[1], ARGV[2]
local work = read(id)
if work.state == 'dead' and work.fence == fence then return 'ok' end
if not held(work, fence) then return 'stale' end
redis.call('HINCRBY', K.work .. id, 'attempts', ARGV[6])
close(work, 'dead', clock(), nil, ARGV[7], 'reason', ARGV[3], 'class', ARGV[4], 'step', ARGV[5])
return 'ok'
