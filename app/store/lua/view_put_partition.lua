-- Store a partition's summary unless its view was deleted meanwhile.
-- KEYS: view, partitions
-- ARGV: 1 field  2 partition json
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
