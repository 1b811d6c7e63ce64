-- Replace a batch that is still there: one that was finished or erased meanwhile must not come back.
-- KEYS: batch
-- ARGV: 1 doc  2 vectors  3 seconds to live
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'doc', ARGV[1], 'vectors', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
