-- A worker begins work: that is a try, and the lease runs from now. Work that is finished already is left alone.
-- KEYS: outbox, outbox state
-- ARGV: 1 member  2 due when the lease ends (s)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return redis.call('HINCRBY', KEYS[2], 'tries:' .. ARGV[1], 1)
