-- Note that a memory was found; never brings a deleted one back. KEYS: record  ARGV: 1 now (s)
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'accessed', ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'count', 1)
  return 1
end
return 0
