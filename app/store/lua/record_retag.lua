-- Give one memory other topics if nobody changed it meanwhile. KEYS: record
-- ARGV: 1 expected revision  2 doc  3 '1' to write the tags too  4 topics ('' none)  5 aliases ('' none)
-- The tags are written only when they differ: any write to an indexed field makes the search module index the whole
-- record again, its vector too.
local revision = redis.call('HGET', KEYS[1], 'rev')
if not revision then
  return 'gone'
end
if revision ~= ARGV[1] then
  return 'conflict'
end
redis.call('HSET', KEYS[1], 'doc', ARGV[2], 'rev', tonumber(revision) + 1)
if ARGV[3] == '1' then
  for i, field in ipairs({ 'topics', 'tals' }) do
    local value = ARGV[3 + i]
    if value == '' then
      redis.call('HDEL', KEYS[1], field)
    else
      redis.call('HSET', KEYS[1], field, value)
    end
  end
end
return 'stored'
