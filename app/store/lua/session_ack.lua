-- Mark items as promoted, drop them from `pending`, release the lease; the session leaves the outbox when nothing
-- is left, else it is due again at the given time.
-- KEYS: session, marks, pending, lease, outbox, outbox state
-- ARGV: 1 lease token  2 outbox member  3 now (s)  4 due when something is left (s)  5.. field, digest, mark
local unfinished_at = ARGV[4]
for i = 5, #ARGV, 3 do
  local field, digest, mark = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  redis.call('HSET', KEYS[2], field, digest .. mark)
  local waiting = redis.call('HGET', KEYS[3], field)
  if waiting and string.sub(waiting, 1, 16) == digest then
    redis.call('HDEL', KEYS[3], field)
  end
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then
  redis.call('PEXPIRE', KEYS[2], ttl + 86400000)
elseif ttl == -2 then
  redis.call('PEXPIRE', KEYS[2], 86400000)
end
if redis.call('GET', KEYS[4]) == ARGV[1] then
  redis.call('DEL', KEYS[4])
end
redis.call('HDEL', KEYS[6], 'tries:' .. ARGV[2])
if redis.call('HLEN', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[2])
  redis.call('HDEL', KEYS[6], 'first:' .. ARGV[2])
  return 0
end
redis.call('HSET', KEYS[6], 'first:' .. ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[5], unfinished_at, ARGV[2])
return redis.call('HLEN', KEYS[3])
