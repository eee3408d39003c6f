#!lua flags=allow-oom
-- Looks whether there are too many dead letters, or too many new ones, and then records a notice for a sink: an event
-- that is done at once, and its delivery. Any worker may call it; no notice comes before the last one is old enough.
-- KEYS  1 any key of ours
-- ARGV  1 event id, 2 event record, 3 trace id, 4 delivery id, 5 sink, 6 the sink's cap, 7 timeout ms,
--       8 how many are too many, or 0, 9 how many new ones are, or 0, 10 ms in which they are new, 11 ms until the next
-- Returns  the notice (JSON), or '' if there is nothing to tell

if redis.call('EXISTS', K.alerted .. 'dead_letters') == 1 then return '' end
local now = clock()
local most, most_new, window = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local dead = redis.call('ZCARD', K.dead)
local new = redis.call('ZCOUNT', K.dead, now - window, '+inf')
local too_many, too_fast = most > 0 and dead >= most, most_new > 0 and new >= most_new
if not too_many and not too_fast then return '' end

local notice = cjson.encode({
  kind = 'dead_letters', reason = too_many and 'count' or 'growth', dead = dead, dead_threshold = most,
  new = new, new_threshold = most_new, new_within_s = window / 1000, newest = redis.call('ZREVRANGE', K.dead, 0, 0)[1],
})
tell_sink('dead_letters', notice, tonumber(ARGV[11]), now)
return notice
