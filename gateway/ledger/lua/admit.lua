#!lua
-- Admits a batch: per event, dedupe, then memory and backlog, then rate, then everything is written.
-- KEYS  1 any key of ours, for a cluster to route by
-- ARGV  1 memory high-water (a share of maxmemory), then 19 per event: id, source, pipeline, lane, cap, max backlog,
--       run timeout ms, dedupe key or '', its TTL ms, '1' if the id is an idempotency key, body digest, nonce key,
--       its TTL ms, GCRA interval µs or '0', burst, record, body, trace id, received ms
-- Returns  per event { outcome, event id, state, retry after µs, remaining }

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

local function brim()
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(string.match(memory, '\nmaxmemory:(%d+)'))
  return most > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > most * tonumber(ARGV[1])
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

local full = brim()

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
  if full or redis.call('LLEN', K.backlog .. group) >= tonumber(a[6]) then
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
  queue(id, group, now)
  count('accepted')
  return { 'accepted', id, 'queued', 0, remaining }
end

local verdicts = {}
for at = 2, #ARGV, 19 do
  verdicts[#verdicts + 1] = admit({ unpack(ARGV, at, at + 18) })
end
return verdicts
