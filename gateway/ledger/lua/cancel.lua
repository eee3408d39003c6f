#!lua flags=allow-oom
-- Ends a run or a delivery that is not over, as discarded. Its owner, if it has one, is refused from here on.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 reason, 3 keep ms, 4 keep dead ms
-- Returns  'cancelled' | 'over' | 'gone'

local id = ARGV[1]
local state = redis.call('HGET', K.work .. id, 'state')
if not state then return 'gone' end
if TERMINAL[state] then return 'over' end
redis.call('HSET', K.work .. id, 'reason', ARGV[2])
redis.call('HDEL', K.work .. id, 'class', 'due', 'fence') -- without its fence, even a finish that is repeated is stale
close(id, 'discarded', clock(), ARGV[3], ARGV[4])
return 'cancelled'
