#!lua flags=allow-oom
-- Gives a slot back, wakes the first run that is suspended for one, notes what the call took of its minute, and tells
-- the circuit how it went.
-- KEYS  1 any key of ours
-- ARGV  1 candidate, 2 whose circuit it shares, 3 token, 4 ok | failed | neutral | limited (by its provider)
--       | out (its key is no good), 5 ms the call took, 6 its place in the minute, 7 the tokens it took ('' is not known:
--       those it might; 'unsent': it was not made), 8 ms the candidate is to be left alone when limited (0: longer each
--       time) or out, 9 calls a minute (0: no limit), then of the circuit:
--       10 failures in a row that open it, 11 window ms they must fall in, 12 ms it stays open,
--       13 percent of failures that open it (0: none do), 14 of at least so many calls, 15 ms of its ramp
-- Returns  1 if this opened the circuit

local AT_HAND = 12 -- so many awake waiters are enough to take the next slots
local FIRST_REST_MS, MOST_RESTS = 1000, 6 -- a second, then twice as long each time up to 64

local name, pool, token, outcome, took = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local rest, calls = tonumber(ARGV[8]), tonumber(ARGV[9])
local window, open_for = tonumber(ARGV[11]), tonumber(ARGV[12])
local ratio, least, ramp = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local circuit, pace = K.circuit .. pool, K.pace .. name
local now = clock()

if ARGV[7] ~= '' then redo(name, ARGV[6], tonumber(ARGV[7])) end
if outcome == 'limited' then
  local times = redis.call('HINCRBY', pace, 'limited', 1)
  if rest == 0 then rest = FIRST_REST_MS * 2 ^ math.min(times - 1, MOST_RESTS) end
  redis.call('HSET', pace, 'rest_until', now + rest, 'ramp_until', now + rest + ramp)
elseif outcome == 'out' then
  redis.call('HSET', pace, 'out_until', now + rest)
end
if redis.call('ZREM', K.slots .. name, token) == 1 and (calls == 0 or minute(name, now) < calls) then
  for _, waiter in ipairs(redis.call('ZRANGE', K.waiters .. name, 0, AT_HAND - 1)) do
    local run = string.match(waiter, '^%S+') -- a token begins with the id of its run
    if redis.call('HGET', K.work .. run, 'state') == 'waiting' then
      resume(run, redis.call('HGET', K.work .. run, 'group'), now)
      break
    end
  end
end

local seen = redis.call('HMGET', circuit, 'probe', 'failures', 'since', 'ok', 'bad', 'counted_from')
local probe = seen[1] == token
local ok, bad = tonumber(seen[4] or 0), tonumber(seen[5] or 0)
local opened = 0

if ratio > 0 and (outcome == 'ok' or outcome == 'failed') then
  local from = tonumber(seen[6] or now)
  if now - from > window then ok, bad, from = 0, 0, now end
  if outcome == 'ok' then ok = ok + 1 else bad = bad + 1 end
  redis.call('HSET', circuit, 'ok', ok, 'bad', bad, 'counted_from', from)
end
if outcome == 'ok' then
  local before = tonumber(redis.call('HGET', pace, 'took') or took)
  redis.call('HSET', pace, 'took', string.format('%.0f', 0.8 * before + 0.2 * took))
  redis.call('HDEL', pace, 'limited')
  redis.call('HDEL', circuit, 'failures', 'since')
  if probe then
    redis.call('HDEL', circuit, 'open_until', 'probe', 'probe_until')
    redis.call('HSET', circuit, 'ramp_from', now, 'ramp_until', now + ramp)
  end
elseif outcome == 'failed' then
  local since = tonumber(seen[3] or now)
  local failures = tonumber(seen[2] or 0) + 1
  if now - since > window then since, failures = now, 1 end
  redis.call('HSET', circuit, 'failures', failures, 'since', since)
  local too_many = ratio > 0 and ok + bad >= least and 100 * bad >= ratio * (ok + bad)
  if probe or too_many or failures >= tonumber(ARGV[10]) then
    redis.call('HSET', circuit, 'open_until', now + open_for)
    redis.call('HINCRBY', circuit, 'opened', 1)
    redis.call('HDEL', circuit, 'probe', 'probe_until', 'failures', 'since', 'ok', 'bad', 'counted_from')
    opened = 1
  end
elseif probe then
  redis.call('HDEL', circuit, 'probe', 'probe_until')
end
redis.call('PEXPIRE', circuit, DAY_MS + open_for)
redis.call('PEXPIRE', pace, DAY_MS)
return opened
