#!lua flags=no-writes
-- Tells what has changed in some runs or deliveries since it was last asked.
-- KEYS  1 any key of ours
-- ARGV  1 JSON object: id -> the mark of the last answer about it ('' for none); one argument, for there may be many
-- Returns  per work that changed { id, mark, state, step, reason, class, attempts, due ms, steps declared, steps finished
--          but for the present one }, or { id } if it is gone

local function finished(id, present)
  local seen, number = { [present] = true }, 0
  for _, field in ipairs(redis.call('HKEYS', K.steps .. id)) do
    local name = string.match(field, '^[^%[]+') or field -- the rounds and items of a step are one step
    if not seen[name] then
      seen[name] = true
      number = number + 1
    end
  end
  return number
end

local answers = {}
for id, seen in pairs(cjson.decode(ARGV[1])) do
  local work = redis.call('HMGET', K.work .. id, 'at', 'state', 'step', 'reason', 'class', 'attempts', 'due', 'total')
  for field = 1, 8 do work[field] = work[field] or '' end
  local mark = table.concat(work, ' ', 1, 4)
  if work[2] == '' then
    answers[#answers + 1] = { id }
  elseif mark ~= seen then
    work[1], work[9] = mark, finished(id, work[3])
    answers[#answers + 1] = { id, unpack(work) }
  end
end
return answers
