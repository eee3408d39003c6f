#!lua flags=allow-oom
-- Reserves what a call of a model may cost from each budget that it is under, and settles that when its cost is known.
-- KEYS  1 any key of ours
-- ARGV  1 'reserve' | 'settle', 2 id of the call, 3 the day (2026-11-21), 4 what it may cost at most, 5 what it did cost,
--       6 how many accounts follow, each of name, limit of the day, limit of the month ('' is none), percent at which to
--       warn; then names under which its cost is only counted. All money is in billionths of a US dollar.
-- Returns  of 'reserve' { 'ok', name and period of each limit that is near now, ... } | { 'spent', name, 'day' | 'month' }

local KEPT_MS = { day = 5356800000, month = 34560000000 } -- 62 and 400 days
local REPEATED_MS = 60000 -- who did not hear the answer settles again within that time

local day, worst, cost, accounts = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local books = { day = K.spent .. day, month = K.spent .. string.sub(day, 1, 7) }

local function add(name, held, spent)
  for period, book in pairs(books) do
    if held ~= 0 then redis.call('HINCRBY', book, 'held ' .. name, held) end
    if spent ~= 0 then redis.call('HINCRBY', book, name, spent) end
    redis.call('PEXPIRE', book, KEPT_MS[period])
  end
end

-- name, limits, percent of one of the accounts
local function account(number)
  local at = 7 + 4 * number
  return ARGV[at], { day = tonumber(ARGV[at + 1]), month = tonumber(ARGV[at + 2]) }, tonumber(ARGV[at + 3])
end

if ARGV[1] == 'settle' then
  if redis.call('SET', K.settled .. ARGV[2], cost, 'NX', 'PX', REPEATED_MS) then
    for number = 0, accounts - 1 do add((account(number)), 0 - worst, cost) end
    for at = 7 + 4 * accounts, #ARGV do add(ARGV[at], 0, cost) end
  end
  return nil
end

local near, answer = {}, { 'ok' }
for number = 0, accounts - 1 do
  local name, limits, percent = account(number)
  for _, period in ipairs({ 'day', 'month' }) do
    local kept = redis.call('HMGET', books[period], name, 'held ' .. name)
    local together = tonumber(kept[1] or 0) + tonumber(kept[2] or 0) + worst
    if limits[period] and together > limits[period] then return { 'spent', name, period } end
    if limits[period] and 100 * together >= percent * limits[period] then near[#near + 1] = { name, period } end
  end
end
for number = 0, accounts - 1 do add((account(number)), worst, 0) end
for _, limit in ipairs(near) do
  local name, period = unpack(limit)
  if redis.call('HSETNX', books[period], 'warned ' .. name, worst) == 1 then
    answer[#answer + 1], answer[#answer + 2] = name, period
  end
end
return answer
