-- Looks products up. KEYS: the epoch, then one hash per product. ARGV: a name for a new epoch.
-- Returns the epoch and, for each product, its value (a string) or, without a value, its known versions (a list).
--
-- A value is not used after its "until" (milliseconds since 1970, by the clock of Redis): then a deadline has passed,
-- and more stock is available than the value says. The versions stay.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
local now
local function passed(moment)
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + time[2] / 1000
  end
  return now >= tonumber(moment)
end
local answer = {epoch}
for i = 2, #KEYS do
  local known = redis.call('HMGET', KEYS[i], 'epoch', 'value', 'until')
  if known[1] ~= epoch then
    answer[i] = {} -- the hash is missing, or from an earlier epoch
  elseif known[2] and not (known[3] and passed(known[3])) then
    answer[i] = known[2]
  else
    answer[i] = redis.call('HGETALL', KEYS[i])
  end
end
return answer
