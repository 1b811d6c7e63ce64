-- A session's document with the marks of its open items, in one round trip.
-- KEYS: session, marks
local doc = redis.call('HMGET', KEYS[1], 'head', 'messages', 'memories', 'created', 'updated', 'rev', 'open', 'ns', 'user', 'sess')
if not doc[6] then
  return nil
end
local open = cmsgpack.unpack(doc[7])
local marks = {}
for first = 1, #open, 1000 do
  local last = math.min(first + 999, #open)
  local values = redis.call('HMGET', KEYS[2], unpack(open, first, last))
  for i = 1, #values do
    if values[i] then
      marks[#marks + 1] = open[first + i - 1]
      marks[#marks + 1] = values[i]
    end
  end
end
doc[7] = marks
return doc
