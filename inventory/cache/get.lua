-- Looks products up. KEYS: the epoch, then one hash per product. ARGV: a name for a new epoch.
-- Returns the epoch and, for each product, its value (a string) or, without a value, its known versions (a list).
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
local answer = {epoch}
for i = 2, #KEYS do
  local known = redis.call('HMGET', KEYS[i], 'epoch', 'value')
  if known[1] ~= epoch then
    answer[i] = {} -- the hash is missing, or from an earlier epoch
  elseif known[2] then
    answer[i] = known[2]
  else
    answer[i] = redis.call('HGETALL', KEYS[i])
  end
end
return answer
