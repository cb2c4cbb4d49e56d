-- Drops the values that changes have made stale, and keeps the versions after the changes, so that set.lua refuses
-- values from before them. KEYS: the epoch, then one hash per product. ARGV: how long to keep the versions, in
-- milliseconds; then for each product the number of its changes and, for each change, field ("at:" or "gone:" and the
-- location's code) and version.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return 0 -- Redis has no value, and a reader that has read already cannot store its value in the next epoch
end
local next = 2
for i = 2, #KEYS do
  local key, changes = KEYS[i], tonumber(ARGV[next])
  next = next + 1
  if redis.call('HGET', key, 'epoch') ~= epoch then
    redis.call('DEL', key)
  end
  local raised = false
  for _ = 1, changes do
    local known = redis.call('HGET', key, ARGV[next])
    if not known or tonumber(known) < tonumber(ARGV[next + 1]) then
      redis.call('HSET', key, ARGV[next], ARGV[next + 1])
      raised = true
    end
    next = next + 2
  end
  -- If no version was raised, the value, if there is one, includes the changes already.
  if raised then
    redis.call('HSET', key, 'epoch', epoch)
    redis.call('HDEL', key, 'value')
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return #KEYS - 1
