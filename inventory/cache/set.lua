-- Stores values that are not older than the known versions. KEYS: the epoch, then one hash per product. ARGV: the epoch
-- in which the reader looked the values up; then for each product the time to live in milliseconds, the milliseconds to
-- the next deadline of a reservation (0: none), the value, the product's version, the number of its locations and, for
-- each location, code and version. Returns the number of values that were refused as stale.
--
-- A hash has, besides epoch, value and until (see get.lua), the highest known version of each location: under "at:"
-- that of an existing item, under "gone:" that of a deleted item.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return #KEYS - 1 -- the versions of that epoch are lost, so it is unknown whether the values are stale
end
local refused, next = 0, 2
for i = 2, #KEYS do
  local key = KEYS[i]
  local ttl, fresh, value = ARGV[next], tonumber(ARGV[next + 1]), ARGV[next + 2]
  local version, locations = tonumber(ARGV[next + 3]), tonumber(ARGV[next + 4])
  next = next + 5
  local offered = {}
  for _ = 1, locations do
    offered[ARGV[next]] = ARGV[next + 1]
    next = next + 2
  end

  local there, gone, fields = {}, {}, redis.call('HGETALL', key)
  for f = 1, #fields, 2 do
    if fields[f] == 'epoch' and fields[f + 1] ~= ARGV[1] then
      redis.call('DEL', key)
      there, gone = {}, {}
      break
    end
    if string.sub(fields[f], 1, 3) == 'at:' then
      there[string.sub(fields[f], 4)] = tonumber(fields[f + 1])
    elseif string.sub(fields[f], 1, 5) == 'gone:' then
      gone[string.sub(fields[f], 6)] = tonumber(fields[f + 1])
    end
  end

  local stale, sum, highest = false, 0, {}
  for location, v in pairs(there) do
    highest[location] = v
    -- A value without a location is from before the location's item was made, unless that item is deleted again.
    if v > tonumber(offered[location] or 0) and (offered[location] or v > (gone[location] or 0)) then
      stale = true
    end
  end
  for location, v in pairs(gone) do
    highest[location] = math.max(v, highest[location] or 0)
    if offered[location] and v > tonumber(offered[location]) then
      stale = true
    end
  end
  for _, v in pairs(highest) do
    sum = sum + v
  end
  -- The product's version is the sum of all its items', the deleted ones included.
  if stale or sum > version then
    refused = refused + 1
  else
    redis.call('HSET', key, 'epoch', ARGV[1], 'value', value)
    if fresh > 0 then -- the value ends before the versions do: they must outlive every read of the database
      local time = redis.call('TIME')
      redis.call('HSET', key, 'until', string.format('%.0f', time[1] * 1000 + time[2] / 1000 + fresh))
    else
      redis.call('HDEL', key, 'until')
    end
    for location, v in pairs(offered) do
      redis.call('HSET', key, 'at:' .. location, v)
    end
    redis.call('PEXPIRE', key, ttl)
  end
end
return refused
