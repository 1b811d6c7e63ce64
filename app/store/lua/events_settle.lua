-- All of a user's events are delivered: nothing is due, unless something came in since the claim.
-- KEYS: due  ARGV: 1 member  2 claimed until (ms)
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0') == tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
