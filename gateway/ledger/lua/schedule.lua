#!lua flags=allow-oom
-- Tells up to which due time a schedule was worked; gives leave to admit a later one, and notes that it was admitted.
-- KEYS  1 any key of ours
-- ARGV  1 name, 2 due ms, 3 'ask' | 'claim' (one worker at a time gets it) | 'done'
-- Returns  { last due ms (a schedule that is seen for the first time begins now), now ms, 1 if claimed else 0 }

local CLAIM_MS = 5000 -- whoever has not admitted it by then is taken for dead

local name, due, now = ARGV[1], tonumber(ARGV[2]), clock()
local last = tonumber(redis.call('HGET', K.schedules, name) or now)
local claim, claimed = name .. ' claimed until', 0 -- no name has a blank
if ARGV[3] == 'claim' and due > last and tonumber(redis.call('HGET', K.schedules, claim) or 0) <= now then
  redis.call('HSET', K.schedules, claim, now + CLAIM_MS)
  claimed = 1
elseif ARGV[3] == 'done' then
  last = math.max(last, due)
  redis.call('HDEL', K.schedules, claim)
end
redis.call('HSET', K.schedules, name, string.format('%.0f', last))
return { last, now, claimed }
