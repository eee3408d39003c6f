#!lua flags=allow-oom
-- Ends a run or a delivery that is not over, as discarded. Its owner, if it has one, is refused from here on.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 reason, 3 keep ms, 4 keep dead ms
-- Returns  'cancelled' | 'over' | 'gone'

local id = ARGV[1]
local work = read(id)
if not work.state then return 'gone' end
if TERMINAL[work.state] then return 'over' end
redis.call('HDEL', K.work .. id, 'class', 'due', 'fence') -- without its fence, even a finish that is repeated is stale
close(work, 'discarded', clock(), ARGV[3], ARGV[4], 'reason', ARGV[2])
return 'cancelled'
