#!lua flags=allow-oom
-- Records a notice for a sink, unless one of its kind is not old enough yet. Any worker may call it.
-- KEYS  1 any key of ours
-- ARGV  1 to 7 as telling.lua says, 8 kind, 9 the notice (JSON), 10 ms until the next of that kind
-- Returns  1 if it was recorded, else 0

if redis.call('EXISTS', K.alerted .. ARGV[8]) == 1 then return 0 end
tell_sink(ARGV[8], ARGV[9], tonumber(ARGV[10]), clock())
return 1
