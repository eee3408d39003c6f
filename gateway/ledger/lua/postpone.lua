#!lua flags=allow-oom
-- Lets a work wait: for its next attempt (counted) or for a slot, a circuit, a drain (not counted).
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 fence, 3 delay ms, 4 reason, 5 error class or '', 6 '1' if it counts as an attempt, 7 step
-- Returns  'ok' | 'stale'

local id = ARGV[1]
local work = read(id)
if not held(work, ARGV[2]) then return 'stale' end
local now = clock()
local due = now + tonumber(ARGV[3])
redis.call('HINCRBY', K.work .. id, 'attempts', ARGV[6])
redis.call('HINCRBY', K.work .. id, 'lives', -1) -- this life ended in good order
redis.call('HSET', K.work .. id, 'state', 'waiting', 'due', due, 'reason', ARGV[4], 'class', ARGV[5], 'step', ARGV[7], 'at', now)
redis.call('HDEL', K.work .. id, 'fence')
redis.call('ZADD', K.due, due, id)
leave(id, work.group, now)
return 'ok'
