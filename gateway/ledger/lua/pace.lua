-- Functions that acquire.lua and release.lua share: the calls of a candidate's last minute, entries "number:tokens" by
-- the time of their leave. KEYS, ARGV: none of its own.  Returns: nothing; the script that follows it does.

local DAY_MS = 86400000
local MINUTE_MS = 62000 -- a minute, and what may lie between our leave and the provider's clock: a call is sent within 1 s

local function tokens_of(entry)
  return tonumber(string.match(entry, '%d+$'))
end

-- Take out what is older; give how many calls are left, and what tokens they took.
local function minute(name, now)
  local log, pace, freed = K.minute .. name, K.pace .. name, 0
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', log, '-inf', now - MINUTE_MS)) do freed = freed + tokens_of(entry) end
  redis.call('ZREMRANGEBYSCORE', log, '-inf', now - MINUTE_MS)
  local made = redis.call('ZCARD', log)
  if made == 0 then -- perhaps the whole log has expired: what was counted of it, too
    redis.call('HDEL', pace, 'tokens')
    return 0, 0
  end
  return made, redis.call('HINCRBY', pace, 'tokens', 0 - freed)
end

-- Note a call in its candidate's minute, with the tokens that it may take; gives its entry.
local function enter(name, tokens, now)
  local entry = redis.call('HINCRBY', K.pace .. name, 'number', 1) .. ':' .. string.format('%.0f', tokens)
  redis.call('ZADD', K.minute .. name, now, entry)
  redis.call('PEXPIRE', K.minute .. name, MINUTE_MS)
  redis.call('HINCRBY', K.pace .. name, 'tokens', tokens)
  return entry
end

-- Correct an entry of the minute: the tokens that it took, or (nil) that the call was not made.
local function redo(name, entry, tokens)
  local at = redis.call('ZSCORE', K.minute .. name, entry)
  if not at then return end
  redis.call('HINCRBY', K.pace .. name, 'tokens', (tokens or 0) - tokens_of(entry))
  local anew = tokens and string.match(entry, '^%d+:') .. tokens
  if anew then redis.call('ZADD', K.minute .. name, at, anew) end
  if anew ~= entry then redis.call('ZREM', K.minute .. name, entry) end
end
