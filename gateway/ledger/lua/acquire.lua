#!lua flags=allow-oom
-- Gets leave to call a model candidate: its circuit is closed (or this is the one probe), it does not rest, a slot is
-- free, and the last minute has room for one more call and for its tokens.
-- KEYS  1 any key of ours
-- ARGV  1 candidate, 2 whose circuit it shares, 3 token, 4 lease ms, 5 most calls at once, 6 calls a minute,
--       7 tokens a minute (each 0: no limit), 8 the tokens that the call may take
-- Returns  { 'granted' | 'probe' (granted, and the one call that may go through an open circuit), 0,
--          where one is kept its place in the minute }
--          | { 'wait', ms until this waiter's own turn } | { 'open', ms until the circuit lets a probe through }
--          | { 'rest', ms until its provider may be asked again } | { 'out', ms until its key is tried again }

local FORGET_MS = 10000 -- a waiter that is this late does not come back
local UNKNOWN_MS = 2000 -- what a call takes, before the first has told
local FREELY = 32 -- so many calls at once end a circuit's ramp, where the candidate itself has no limit
local MOST_SEEN = 200 -- calls of a minute that are looked at, at most, for the time when there is room

local name, pool, token, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local limit, calls, tokens = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local slots, waiters, circuit, pace = K.slots .. name, K.waiters .. name, K.circuit .. pool, K.pace .. name
local now = clock()
local seen = redis.call('HMGET', circuit, 'open_until', 'probe', 'probe_until', 'ramp_from', 'ramp_until')
local own = redis.call('HMGET', pace, 'took', 'out_until', 'rest_until', 'ramp_until')
local verdict = 'granted'

-- ms until that time; false once it has come
local function ahead(time)
  return time and tonumber(time) > now and time - now
end

redis.call('SADD', K.candidates, name)
redis.call('HSET', pace, 'pool', pool)
redis.call('PEXPIRE', pace, DAY_MS)
if ahead(own[2]) then return { 'out', ahead(own[2]) } end
if ahead(own[3]) then return { 'rest', ahead(own[3]) } end
if seen[1] then
  local closed = tonumber(seen[1])
  if seen[2] ~= token then closed = math.max(closed, tonumber(seen[3] or closed)) end -- another one probes
  if ahead(closed) then return { 'open', ahead(closed) } end
  verdict = 'probe'
end

-- It came back just now: as many calls at once as it is to bear again, from one on; ramped is when that is over.
local full, ramped = limit > 0 and limit or FREELY, now
local function ramp(from, to)
  if not ahead(to) then return end
  local most = 1 + math.floor((now - from) / (to - from) * full)
  limit, ramped = math.min(limit > 0 and limit or most, most), math.max(ramped, to)
end

ramp(seen[4], seen[5])
ramp(own[3], own[4])
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
local mine = redis.call('ZSCORE', slots, token)
local free = limit == 0 or mine or redis.call('ZCARD', slots) < limit
local made, held = minute(name, now)
local wanted = math.min(tonumber(ARGV[8]), tokens) -- 0 without a limit; a call beyond it has the minute alone

-- ms until the call at this index is out of the minute
local function leaves(index)
  return redis.call('ZRANGE', K.minute .. name, index, index, 'WITHSCORES')[2] + MINUTE_MS - now
end

-- ms until the minute has room for the call that stands at this place of the line: those before it fill whole minutes,
-- and of the calls of this one all up to the last have to be out
local function pause(place)
  local after = 0
  if calls > 0 then
    local minutes = math.floor(place / calls)
    local last = made + place - calls * (minutes + 1)
    after = MINUTE_MS * minutes + (last >= 0 and leaves(last) or 0)
  end
  if tokens > 0 then
    local taken = (place + 1) * wanted
    local minutes = math.floor((taken - 1) / tokens)
    local left, last = held + taken - tokens * (minutes + 1), -1
    if left > 0 then
      for _, entry in ipairs(redis.call('ZRANGE', K.minute .. name, 0, MOST_SEEN - 1)) do
        if left > 0 then left, last = left - tokens_of(entry), last + 1 end
      end
    end
    after = math.max(after, MINUTE_MS * minutes + (last >= 0 and leaves(last) or 0))
  end
  return after
end

if not free or pause(0) > 0 then
  redis.call('ZREMRANGEBYSCORE', waiters, '-inf', now)
  local place = redis.call('ZRANK', waiters, token)
  local rank = place or redis.call('ZCARD', waiters)
  local after = pause(rank)
  if not free then -- its turn comes at the pace of now, or of the whole limit once that is borne again
    local took = (rank + 1) * tonumber(own[1] or UNKNOWN_MS)
    after = math.max(after, math.ceil(math.min(took / limit, ramped - now + took / full)))
  end
  if not place then -- who asks again keeps the place; who does not come back is forgotten
    redis.call('ZADD', waiters, now + after + FORGET_MS, token)
    redis.call('PEXPIRE', waiters, after + 2 * FORGET_MS)
  end
  return { 'wait', after }
end
redis.call('ZREM', waiters, token)
redis.call('ZADD', slots, now + lease, token)
redis.call('PEXPIRE', slots, lease + 60000)
if verdict == 'probe' then redis.call('HSET', circuit, 'probe', token, 'probe_until', now + lease) end
if calls + tokens == 0 then return { verdict, 0 } end
return { verdict, 0, enter(name, wanted, now) }
