#!lua flags=allow-oom
-- Pauses or resumes a source, a pipeline or a sink: what runs goes on, nothing new begins.
-- KEYS  1 any key of ours
-- ARGV  1 what ('source:blog', 'pipeline:triage', 'sink:n8n'), 2 '1' to pause, '0' to resume
-- Returns  1 if that changed something

if ARGV[2] == '1' then return redis.call('SADD', K.paused, ARGV[1]) end
local changed = redis.call('SREM', K.paused, ARGV[1])
local now = clock()
for _, group in ipairs(redis.call('SMEMBERS', K.groups)) do feed(group, now) end
return changed
