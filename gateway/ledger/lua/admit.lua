#!lua
-- Admits a batch: per event, dedupe, then memory and backlog, then rate, then everything is written.
-- KEYS  1 any key of ours, for a cluster to route by
-- ARGV  1 keep ms, 2 keep dead ms, then 21 per event: id, source, pipeline, lane, cap, max backlog, run timeout ms,
--       dedupe key or '', its TTL ms, '1' if the id is an idempotency key, body digest, nonce key, its TTL ms, GCRA
--       interval µs or '0', burst, record, body, trace id, received ms, max backlog of all sources, '' or why no run
--       can work it: then it is a dead letter at once
-- Returns  per event { outcome, event id, state, retry after µs, remaining }

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- By lane, the shares of maxmemory and of the common backlog at which admission stops: what was accepted must still be
-- finished, and what matters least is refused first.
local MEMORY = { low = 0.80, normal = 0.85, high = 0.90 }
local BACKLOG = { low = 0.80, normal = 0.90, high = 1.00 }

local function used()
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(string.match(memory, '\nmaxmemory:(%d+)'))
  return most > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) / most or 0
end

local function waiting()
  local total = 0
  for _, group in ipairs(redis.call('SMEMBERS', K.groups)) do
    if string.sub(group, 1, 7) == 'source:' then total = total + redis.call('LLEN', K.backlog .. group) end
  end
  return total
end

local function known(key, digest)
  local first = redis.call('GET', key)
  if not first then return nil end
  local id, other = string.match(first, '(%S+) (%S+)')
  return id, other ~= digest
end

-- GCRA: returns the new theoretical arrival time, or nil and how long to wait; and how many more may come now.
local function conform(source, interval, burst)
  local arrival = math.max(tonumber(redis.call('GET', K.rate .. source) or 0), now_us) + interval
  local early = arrival - now_us - burst * interval
  if early > 0 then return nil, early, 0 end
  return arrival, 0, math.floor(-early / interval)
end

local memory, total = used(), waiting()

local function full(lane, backlog, most, most_total)
  return memory > MEMORY[lane] or backlog >= most or total >= most_total * BACKLOG[lane]
end

local function admit(a)
  local id, source, pipeline, lane, cap = a[1], a[2], a[3], a[4], a[5]
  local group = 'source:' .. source
  local dedupe = a[8] ~= '' and K.dedupe .. source .. ':' .. a[8]
  local nonce = K.nonce .. source .. ':' .. a[12]
  local interval, burst = tonumber(a[14]), tonumber(a[15])

  local first, differs
  if dedupe then first, differs = known(dedupe, a[11]) end
  if first and differs and a[10] == '1' then
    count('conflict')
    return { 'conflict', first, '', 0, 0 }
  end
  first = first or known(nonce, a[11])
  if first then
    count('duplicate')
    return { 'duplicate', first, redis.call('HGET', K.work .. first, 'state') or 'finished', 0, 0 }
  end
  local backlog = redis.call('LLEN', K.backlog .. group)
  if full(lane, backlog, tonumber(a[6]), tonumber(a[20])) then
    count('full')
    return { 'full', '', '', 1000000, 0 }
  end
  local arrival, wait, remaining = nil, 0, 0
  if interval > 0 then
    arrival, wait, remaining = conform(source, interval, burst)
    if not arrival then
      count('limited')
      return { 'limited', '', '', wait, 0 }
    end
    redis.call('SET', K.rate .. source, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now_us) / 1000) + 1)
  end

  local mark = id .. ' ' .. a[11]
  if dedupe then redis.call('SET', dedupe, mark, 'PX', a[9]) end
  if tonumber(a[13]) > 0 then redis.call('SET', nonce, mark, 'PX', a[13]) end
  redis.call('HSET', K.event .. id, 'record', a[16], 'body', a[17])
  redis.call('HSET', K.work .. id, 'kind', 'run', 'group', group, 'source', source, 'pipeline', pipeline, 'generation', 0,
    'timeout', a[7], 'trace', a[18], 'received', a[19], 'size', #a[17])
  redis.call('ZADD', K.index, a[19], id)
  register(group, cap, lane, pipeline)
  count('accepted')
  if a[21] ~= '' then
    redis.call('HSET', K.work .. id, 'attempts', 0, 'lives', 0, 'reason', a[21], 'class', 'permanent')
    close(id, 'dead', now, ARGV[1], ARGV[2])
    return { 'accepted', id, 'dead', 0, remaining }
  end
  queue(id, group, now)
  total = total + redis.call('LLEN', K.backlog .. group) - backlog
  return { 'accepted', id, 'queued', 0, remaining }
end

local verdicts = {}
for at = 3, #ARGV, 21 do
  verdicts[#verdicts + 1] = admit({ unpack(ARGV, at, at + 20) })
end
return verdicts
