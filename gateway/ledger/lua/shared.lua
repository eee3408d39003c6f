-- Functions that every script shares. K holds the key names (gateway/ledger/keys.py).
-- KEYS, ARGV: none of its own.  Returns: nothing; the script that follows it does.

local WOKEN_MS = 10000 -- a wake-up that nobody began after this long is given again

local MOST_NOTED, NEAR = 10000, 4 -- entries of the audit trail; how far back the present bulk's entry is looked for
local ALERTS = '_alerts' -- the source of our own notices; no configured one can have this name

local TERMINAL = { done = true, discarded = true, dead = true, delivered = true }

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function count(outcome, number)
  redis.pcall('HINCRBY', K.counts, outcome, number or 1) -- a figure that cannot be kept must not fail what it counts
end

-- Note in the audit trail who did this (JSON who, what, on, bulk; '' notes nothing). A bulk is one entry that counts.
local function note(text, now)
  if text == '' then return end
  local entry = cjson.decode(text)
  for at = 0, entry.bulk ~= '' and NEAR or -1 do
    local kept = redis.call('LINDEX', K.audit, at)
    local known = kept and cjson.decode(kept) or {}
    if known.bulk == entry.bulk then
      known.count, known.last = known.count + 1, now
      redis.call('LSET', K.audit, at, cjson.encode(known))
      return
    end
  end
  entry.count, entry.first, entry.last = 1, now, now
  redis.call('LPUSH', K.audit, cjson.encode(entry))
  redis.call('LTRIM', K.audit, 0, MOST_NOTED - 1)
end

-- What the record of a work says: the fields that every change of its state looks at, and more where they are named.
local function read(id, ...)
  local found = redis.call('HMGET', K.work .. id, 'state', 'fence', 'group', 'run', 'generation', 'source', ...)
  local work = { id = id, state = found[1], fence = found[2], group = found[3], run = found[4], generation = found[5],
    source = found[6] }
  for at, field in ipairs({ ... }) do work[field] = found[6 + at] end
  return work
end

local function paused(group)
  if redis.call('EXISTS', K.paused) == 0 then return false end -- nearly always
  if redis.call('SISMEMBER', K.paused, group) == 1 then return true end
  local pipeline = redis.call('HGET', K.group .. group, 'pipeline')
  return pipeline and redis.call('SISMEMBER', K.paused, 'pipeline:' .. pipeline) == 1
end

local function wake(id, group, lane, now)
  redis.call('SADD', K.active .. group, id)
  redis.call('ZADD', K.due, now + WOKEN_MS, id)
  redis.call('RPUSH', K.lane .. lane, id)
end

-- Move work from the group's backlog into its lane, as far as its cap allows.
local function feed(group, now)
  local rule = redis.call('HMGET', K.group .. group, 'cap', 'lane')
  if paused(group) then return end
  local free = tonumber(rule[1]) - redis.call('SCARD', K.active .. group)
  while free > 0 do
    local id = redis.call('LPOP', K.backlog .. group)
    if not id then return end
    if redis.call('HGET', K.work .. id, 'state') == 'queued' then
      wake(id, group, rule[2], now)
      free = free - 1
    end
  end
end

local function register(group, cap, lane, pipeline)
  redis.call('SADD', K.groups, group)
  redis.call('HSET', K.group .. group, 'cap', cap, 'lane', lane)
  if pipeline then redis.call('HSET', K.group .. group, 'pipeline', pipeline) end
end

-- Put work at the end of its group's backlog, ready to begin as if new.
local function queue(id, group, now)
  redis.call('HSET', K.work .. id, 'state', 'queued', 'attempts', 0, 'lives', 0, 'at', now, 'since', now)
  redis.call('HDEL', K.work .. id, 'fence', 'reason', 'class')
  redis.call('ZREM', K.dead, id)
  redis.call('RPUSH', K.backlog .. group, id)
  feed(group, now)
end

-- Waiting work is ready again, before what is new.
local function resume(id, group, now)
  redis.call('ZREM', K.due, id)
  redis.call('HSET', K.work .. id, 'state', 'queued', 'at', now)
  redis.call('LPUSH', K.backlog .. group, id)
  feed(group, now)
end

-- The work gives up its place in the group; the next one gets it.
local function leave(id, group, now)
  redis.call('SREM', K.active .. group, id)
  feed(group, now)
end

-- Whether this fence still owns the work: nobody began it since, and it is not over.
local function held(work, fence)
  return not TERMINAL[work.state] and work.fence == fence
end

-- The deliveries of a run that was read with that field.
local function deliveries(run)
  local ids = {}
  for id in string.gmatch(run.deliveries or '', '%S+') do ids[#ids + 1] = id end
  return ids
end

-- Once a run and its deliveries are over, what is kept gets its end: dead letters the long one.
local function settle(id, keep_ms, dead_ms)
  local run = read(id, 'pending', 'deliveries')
  if not TERMINAL[run.state] or (run.pending or '0') ~= '0' then return end
  local ids = deliveries(run)
  local dead = run.state == 'dead'
  for _, one in ipairs(ids) do dead = dead or redis.call('HGET', K.work .. one, 'state') == 'dead' end
  local ttl = dead and dead_ms or keep_ms
  if run.state == 'dead' then
    redis.call('PEXPIRE', K.checkpoints .. id, ttl)
  else
    redis.call('DEL', K.checkpoints .. id)
    redis.call('HDEL', K.work .. id, 'bytes')
  end
  ids[#ids + 1] = id
  for _, one in ipairs(ids) do redis.call('PEXPIRE', K.work .. one, ttl) end
  for _, kind in ipairs({ 'event', 'steps' }) do redis.call('PEXPIRE', K[kind] .. id, ttl) end
end

-- Do something with one work, and give what that gives. If its record is broken it is set aside, so that neighbours do
-- not suffer: out of the schedule, and a dead letter as far as its record can still say so; then this gives nothing.
local function guarded(id, now, act)
  local ok, answer = pcall(act)
  if ok then return answer end
  local why = type(answer) == 'table' and answer.err or tostring(answer)
  if not (string.find(why, 'WRONGTYPE') or string.find(why, 'not an integer') or string.find(why, 'attempt to')) then
    error(answer) -- no memory, no disk: not the record's fault
  end
  redis.call('ZREM', K.due, id)
  for _, group in ipairs(redis.call('SMEMBERS', K.groups)) do redis.call('SREM', K.active .. group, id) end
  if redis.call('TYPE', K.work .. id).ok == 'hash' then
    redis.call('HSET', K.work .. id, 'state', 'dead', 'class', 'undecodable', 'reason', 'its record is broken', 'at', now)
    for _, field in ipairs({ 'attempts', 'lives', 'generation', 'received', 'size', 'repeats', 'total' }) do
      if not tonumber(redis.call('HGET', K.work .. id, field) or '0') then redis.call('HSET', K.work .. id, field, 0) end
    end
    redis.call('ZADD', K.dead, now, id)
    count('dead')
  end
end

-- The end of a work that was read, in whatever state: out of the schedule, its place given on, its run settled. Then
-- come the fields that say how it ended.
local function close(work, state, now, keep_ms, dead_ms, ...)
  redis.call('HSET', K.work .. work.id, 'state', state, 'at', now, ...)
  redis.call('ZREM', K.due, work.id)
  if state == 'dead' and work.source ~= ALERTS then redis.call('ZADD', K.dead, now, work.id) end -- no notice about a notice
  if work.run and redis.call('HGET', K.work .. work.run, 'generation') == work.generation then -- else a replay has new ones
    redis.call('HINCRBY', K.work .. work.run, 'pending', -1)
  end
  leave(work.id, work.group, now)
  settle(work.run or work.id, keep_ms, dead_ms)
  count(state)
end
