-- A session's document with the marks of its open items and what was folded of it, in one round trip.
-- KEYS: session, marks, fold
local doc = redis.call('HMGET', KEYS[1], 'head', 'messages', 'memories', 'created', 'updated', 'rev', 'open', 'ns', 'user', 'sess',
  'window', 'born')
if not doc[6] then
  return nil
end
local function each_thousand(fields, visit)
  for first = 1, #fields, 1000 do
    visit(first - 1, unpack(fields, first, math.min(first + 999, #fields)))
  end
end
local open = cmsgpack.unpack(doc[7])
local marks = {}
each_thousand(open, function(before, ...)
  for i, value in ipairs(redis.call('HMGET', KEYS[2], ...)) do
    if value then
      marks[#marks + 1] = open[before + i]
      marks[#marks + 1] = value
    end
  end
end)
doc[7] = marks
local fold = redis.call('HMGET', KEYS[3], 'summary', 'rev', 'count', 'tokens', 'absorbed')
local folded = {}
if fold[1] then
  each_thousand(cmsgpack.unpack(redis.call('HGET', KEYS[1], 'items')), function(before, ...)
    for i, value in ipairs(redis.call('HMGET', KEYS[3], ...)) do
      if value then
        folded[#folded + 1] = before + i - 1
      end
    end
  end)
end
doc[13] = fold
doc[14] = folded
return doc
