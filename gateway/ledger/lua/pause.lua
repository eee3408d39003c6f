#!lua flags=allow-oom
-- Pauses or resumes a source, a pipeline or a sink: what runs goes on, nothing new begins.
-- KEYS  1 any key of ours
-- ARGV  1 what ('source:blog', 'pipeline:triage', 'sink:n8n'), 2 '1' to pause, '0' to resume, 3 what the audit trail
--       says of it (JSON), or ''
-- Returns  1 if that changed something

local now = clock()
local changed = redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', K.paused, ARGV[1])
if changed == 1 then note(ARGV[3], now) end
if ARGV[2] == '0' then
  for _, group in ipairs(redis.call('SMEMBERS', K.groups)) do feed(group, now) end
end
return changed
