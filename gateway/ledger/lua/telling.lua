-- What scripts share that tell a sink of something: they are given 1 event id, 2 event record, 3 trace id, 4 delivery
-- id, 5 sink, 6 the sink's cap, 7 timeout ms, and go on from there. KEYS, ARGV: none of its own.  Returns: nothing.

-- Record the notice, an event that is done at once, and its delivery; for `repeat_ms` there is to be no other of its kind.
local function tell_sink(kind, notice, repeat_ms, now)
  local id, delivery, sink, timeout = ARGV[1], ARGV[4], ARGV[5], ARGV[7]
  redis.call('SET', K.alerted .. kind, id, 'PX', repeat_ms)
  redis.call('HSET', K.event .. id, 'record', ARGV[2], 'body', notice)
  redis.call('HSET', K.work .. id, 'kind', 'run', 'group', 'source:' .. ALERTS, 'source', ALERTS, 'pipeline', ALERTS,
    'generation', 0, 'timeout', timeout, 'trace', ARGV[3], 'received', now, 'size', #notice, 'state', 'done',
    'attempts', 0, 'lives', 0, 'at', now, 'result', notice, 'deliveries', delivery, 'pending', 1)
  redis.call('ZADD', K.index, now, id)
  redis.call('HSET', K.work .. delivery, 'kind', 'delivery', 'run', id, 'sink', sink, 'group', 'sink:' .. sink,
    'source', ALERTS, 'pipeline', ALERTS, 'trace', ARGV[3], 'generation', 0, 'timeout', timeout, 'received', now)
  register('sink:' .. sink, ARGV[6], 'deliveries')
  queue(delivery, 'sink:' .. sink, now)
  count('alerts')
end
