#!lua flags=allow-oom
-- Begins a run or a delivery: one owner at a time, known by its fence. A work that loses its owner too often is buried.
-- KEYS  1 any key of ours
-- ARGV  1 id, 2 fence, 3 lease ms, 4 most lives, 5 keep dead ms
-- Returns  { 'gone' | 'done' | 'busy' | 'waiting' | 'paused' | 'dead' }, or
--          { 'start', { kind, generation, attempts, lives, received ms, since ms, now ms, timeout ms, sink }, event record,
--          event body, checkpoints (a delivery: the steps of its run), its run's result }

local id, fence, lease, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = clock()

local function begin()
  local work = read(id, 'kind', 'attempts', 'lives', 'received', 'since', 'timeout', 'sink')
  local state, group, run = work.state, work.group, work.run

  if not state then return { 'gone' } end
  if TERMINAL[state] then return { 'done' } end
  if redis.call('SISMEMBER', K.active .. group, id) == 0 then return { 'waiting' } end
  if state == 'running' and tonumber(redis.call('ZSCORE', K.due, id)) > now then return { 'busy' } end
  if paused(group) then
    redis.call('HSET', K.work .. id, 'state', 'queued', 'at', now)
    redis.call('HDEL', K.work .. id, 'fence')
    redis.call('SREM', K.active .. group, id)
    redis.call('ZREM', K.due, id)
    redis.call('LPUSH', K.backlog .. group, id)
    return { 'paused' }
  end

  local lives = tonumber(work.lives) + 1
  if lives > most then
    local reason = 'its worker died ' .. most .. ' times'
    close(work, 'dead', now, nil, ARGV[5], 'reason', reason, 'class', 'crash', 'fence', fence)
    return { 'dead' }
  end
  local deadline = now + tonumber(work.timeout)
  redis.call('HSET', K.work .. id, 'state', 'running', 'fence', fence, 'lives', lives, 'deadline', deadline, 'at', now,
    'due', '')
  redis.call('ZADD', K.due, now + lease, id)

  local event = run or id
  local record = redis.call('HMGET', K.event .. event, 'record', 'body')
  return {
    'start', { work.kind, work.generation, work.attempts, lives, work.received, work.since, now, work.timeout, work.sink },
    record[1], record[2],
    redis.call('HGETALL', run and K.steps .. run or K.checkpoints .. id),
    run and redis.call('HGET', K.work .. run, 'result') or false,
  }
end

return guarded(id, now, begin) or { 'dead' }
