#!lua flags=allow-oom
-- Looks whether there are too many dead letters, or too many new ones, and then records a notice for a sink: an event
-- that is done at once, and its delivery. Any worker may call it; no notice comes before the last one is old enough.
-- KEYS  1 any key of ours
-- ARGV  1 event id, 2 event record, 3 trace id, 4 delivery id, 5 sink, 6 the sink's cap, 7 timeout ms,
--       8 how many are too many, or 0, 9 how many new ones are, or 0, 10 ms in which they are new, 11 ms until the next
-- Returns  the notice (JSON), or '' if there is nothing to tell

if redis.call('EXISTS', K.alerted) == 1 then return '' end
local id, delivery, sink, now = ARGV[1], ARGV[4], ARGV[5], clock()
local most, most_new, window = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local dead = redis.call('ZCARD', K.dead)
local new = redis.call('ZCOUNT', K.dead, now - window, '+inf')
local too_many, too_fast = most > 0 and dead >= most, most_new > 0 and new >= most_new
if not too_many and not too_fast then return '' end

local notice = cjson.encode({
  kind = 'dead_letters', reason = too_many and 'count' or 'growth', dead = dead, dead_threshold = most,
  new = new, new_threshold = most_new, new_within_s = window / 1000, newest = redis.call('ZREVRANGE', K.dead, 0, 0)[1],
})
redis.call('SET', K.alerted, id, 'PX', ARGV[11])
redis.call('HSET', K.event .. id, 'record', ARGV[2], 'body', notice)
redis.call('HSET', K.work .. id, 'kind', 'run', 'group', 'source:' .. ALERTS, 'source', ALERTS, 'pipeline', ALERTS,
  'generation', 0, 'timeout', ARGV[7], 'trace', ARGV[3], 'received', now, 'size', #notice, 'state', 'done', 'attempts', 0,
  'lives', 0, 'at', now, 'result', notice, 'deliveries', delivery, 'pending', 1)
redis.call('ZADD', K.index, now, id)
redis.call('HSET', K.work .. delivery, 'kind', 'delivery', 'run', id, 'sink', sink, 'group', 'sink:' .. sink,
  'source', ALERTS, 'pipeline', ALERTS, 'trace', ARGV[3], 'generation', 0, 'timeout', ARGV[7], 'received', now)
register('sink:' .. sink, ARGV[6], 'deliveries')
queue(delivery, 'sink:' .. sink, now)
count('alerts')
return notice
