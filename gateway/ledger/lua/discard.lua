#!lua flags=allow-oom
-- Takes a dead letter off the list for good; its record stays as long as a finished one's.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 keep ms, 3 keep dead ms, for a dead letter beside it, 4 what the audit trail says of it (JSON), or ''
-- Returns  1, or 0 if it is not a dead letter

local id, now = ARGV[1], clock()
if redis.call('HGET', K.work .. id, 'state') ~= 'dead' then return 0 end
local run = redis.call('HGET', K.work .. id, 'run') or id
redis.call('HSET', K.work .. id, 'state', 'discarded', 'at', now)
redis.call('ZREM', K.dead, id)
settle(run, ARGV[2], ARGV[3])
count('discarded')
note(ARGV[4], now)
return 1
