-- Keep an imported token until its holder claims it. One that was here before stays what it became: claimed or removed.
-- KEYS: imported tokens (numbered), ids of all that were ever imported
-- ARGV: its id, its JSON
-- Returns whether it is new. Numbers only grow, so "compared with all up to this number" stays true.
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call('ZADD', KEYS[1], redis.call('SCARD', KEYS[2]), ARGV[2])
return 1
