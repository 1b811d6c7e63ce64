-- Give a record a vector, unless it was changed or deleted since its text was read.
-- KEYS: record  ARGV: 1 expected revision  2 field  3 vector. Returns 1 if it was stored.
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
