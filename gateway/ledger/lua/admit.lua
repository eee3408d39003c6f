#!lua
-- Admits a batch: per event, dedupe, then memory and backlog, then rate, then everything is written.
-- KEYS  1 any key of ours, for a cluster to route by
-- ARGV  1 keep ms, 2 keep dead ms, 3 how many sets of rules;
--       then 12 per set: source, pipeline, lane, cap, run timeout ms, max backlog, max backlog of all sources,
--       dedupe TTL ms, '1' if the id is an idempotency key, nonce TTL ms or '0', GCRA interval µs or '0', burst;
--       then 10 per event: the number of its rules, id, dedupe mark or '' and nonce mark (16 bytes each), body mark
--       (8 bytes), record, body, trace id, received ms, '' or why no run can work it: then it is a dead letter at once
-- Returns  per event { outcome, event id, state, retry after µs, remaining }

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- By lane, the shares of maxmemory and of the common backlog at which admission stops: what was accepted must still be
-- finished, and what matters least is refused first.
local MEMORY = { low = 0.80, normal = 0.85, high = 0.90 }
local BACKLOG = { low = 0.80, normal = 0.90, high = 1.00 }
local TIDY = 16 -- a bucket that grew by so many is rid of what has expired

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

-- What came before is remembered in buckets, hashes so small that Redis keeps them as lists:
-- mark -> 6 bytes when to forget it, 8 bytes body mark, event id.
local function bucket(kind, mark)
  return K[kind] .. string.format('%02x%02x', string.byte(mark, 1, 2))
end

local function forgotten(entry)
  return struct.unpack('>I6', entry) <= now
end

local function known(kind, mark, body)
  local entry = redis.call('HGET', bucket(kind, mark), mark)
  if not entry or forgotten(entry) then return nil end
  return string.sub(entry, 15), string.sub(entry, 7, 14) ~= body
end

local function tidy(key)
  local entries = redis.call('HGETALL', key)
  for at = 1, #entries, 2 do
    if forgotten(entries[at + 1]) then redis.call('HDEL', key, entries[at]) end
  end
end

local function remember(kind, mark, body, id, ttl)
  local key = bucket(kind, mark)
  redis.call('HSET', key, mark, struct.pack('>I6', now + ttl) .. body .. id)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
  if redis.call('HLEN', key) % TIDY == 0 then tidy(key) end
end

-- GCRA: returns the new theoretical arrival time and how many more may come now, or nil and how long to wait.
local function conform(rules)
  local arrival = math.max(tonumber(redis.call('GET', K.rate .. rules.source) or 0), now_us) + rules.interval
  local early = arrival - now_us - rules.burst * rules.interval
  if early > 0 then return nil, early end
  return arrival, math.floor(-early / rules.interval)
end

local memory, total, counts = used(), waiting(), {}

local function read_rules(at)
  local a = { unpack(ARGV, at, at + 11) }
  local group = 'source:' .. a[1]
  return {
    source = a[1], pipeline = a[2], lane = a[3], cap = a[4], timeout = a[5], group = group,
    most = tonumber(a[6]), most_total = tonumber(a[7]) * BACKLOG[a[3]], backlog = redis.call('LLEN', K.backlog .. group),
    dedupe_ttl = tonumber(a[8]), idempotent = a[9] == '1', nonce_ttl = tonumber(a[10]),
    interval = tonumber(a[11]), burst = tonumber(a[12]), free = nil,
  }
end

local function full(rules)
  return memory > MEMORY[rules.lane] or rules.backlog >= rules.most or total >= rules.most_total
end

-- Before the first event of a source is stored: its group as these rules want it, and how many may begin at once.
local function open(rules)
  register(rules.group, rules.cap, rules.lane, rules.pipeline)
  feed(rules.group, now)
  local backlog = redis.call('LLEN', K.backlog .. rules.group)
  total = total + backlog - rules.backlog
  rules.backlog = backlog
  rules.free = paused(rules.group) and 0 or tonumber(rules.cap) - redis.call('SCARD', K.active .. rules.group)
end

local function place(rules, id)
  if rules.free > 0 then
    rules.free = rules.free - 1
    wake(id, rules.group, rules.lane, now)
  else
    rules.backlog, total = rules.backlog + 1, total + 1
    redis.call('RPUSH', K.backlog .. rules.group, id)
  end
end

local function repeated(first)
  local state = redis.call('HGET', K.work .. first, 'state')
  if state then -- where memory is short, a figure that cannot be kept must not fail the answer
    redis.pcall('HINCRBY', K.work .. first, 'repeats', 1)
    redis.pcall('HSET', K.work .. first, 'repeated', now)
  end
  return { 'duplicate', first, state or 'finished', 0, 0 }
end

local function store(rules, event, remaining)
  local id, body, flaw = event[2], event[7], event[10]
  if event[3] ~= '' then remember('dedupe', event[3], event[5], id, rules.dedupe_ttl) end
  if rules.nonce_ttl > 0 then remember('nonce', event[4], event[5], id, rules.nonce_ttl) end
  redis.call('HSET', K.event .. id, 'record', event[6], 'body', body)
  redis.call('HSET', K.work .. id, 'kind', 'run', 'group', rules.group, 'source', rules.source, 'pipeline', rules.pipeline,
    'generation', 0, 'timeout', rules.timeout, 'trace', event[8], 'received', event[9], 'size', #body, 'state', 'queued',
    'attempts', 0, 'lives', 0, 'at', now)
  redis.call('ZADD', K.index, event[9], id)
  if not rules.free then open(rules) end
  if flaw == '' then
    place(rules, id)
    return { 'accepted', id, 'queued', 0, remaining }
  end
  close(read(id), 'dead', now, ARGV[1], ARGV[2], 'reason', flaw, 'class', 'permanent')
  return { 'accepted', id, 'dead', 0, remaining }
end

local function admit(rules, event)
  local first, differs
  if event[3] ~= '' then first, differs = known('dedupe', event[3], event[5]) end
  if first and differs and rules.idempotent then return { 'conflict', first, '', 0, 0 } end
  first = first or known('nonce', event[4], event[5])
  if first then return repeated(first) end
  if full(rules) then return { 'full', '', '', 1000000, 0 } end
  local remaining = 0
  if rules.interval > 0 then
    local arrival, number = conform(rules)
    if not arrival then return { 'limited', '', '', number, 0 } end
    redis.call('SET', K.rate .. rules.source, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now_us) / 1000) + 1)
    remaining = number
  end
  return store(rules, event, remaining)
end

local rules, verdicts = {}, {}
local first_event = 4 + 12 * ARGV[3]
for at = 4, first_event - 1, 12 do rules[#rules + 1] = read_rules(at) end
for at = first_event, #ARGV, 10 do
  local verdict = admit(rules[tonumber(ARGV[at])], { unpack(ARGV, at, at + 9) })
  verdicts[#verdicts + 1] = verdict
  counts[verdict[1]] = (counts[verdict[1]] or 0) + 1
end
for outcome, number in pairs(counts) do count(outcome, number) end
return verdicts
