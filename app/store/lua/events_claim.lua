-- Claim users whose events wait to be delivered; a claim that is not settled ends by itself.
-- KEYS: due  ARGV: 1 now (ms)  2 limit  3 claimed until (ms)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(found) do
  redis.call('ZADD', KEYS[1], ARGV[3], member)
end
return found
