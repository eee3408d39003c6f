#!lua flags=allow-oom
-- Saves a step's output. The same call twice is as once.
-- KEYS  1 any key of ours
-- ARGV  1 run id, 2 fence, 3 step key, 4 output, 5 what it took (JSON), 6 most bytes of all outputs of a run,
--       7 how many steps the pipeline declares
-- Returns  'ok' | 'stale' (not the owner any more) | 'too_big'

local id, step = ARGV[1], ARGV[3]
local work = read(id, 'bytes')
if not held(work, ARGV[2]) then return 'stale' end
local before = redis.call('HSTRLEN', K.checkpoints .. id, step)
local bytes = tonumber(work.bytes or 0) - before + #ARGV[4]
if bytes > tonumber(ARGV[6]) then return 'too_big' end
redis.call('HSET', K.checkpoints .. id, step, ARGV[4])
redis.call('HSET', K.steps .. id, step, ARGV[5])
redis.call('HSET', K.work .. id, 'bytes', bytes, 'total', ARGV[7], 'at', clock())
return 'ok'
