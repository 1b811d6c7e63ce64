-- Claim due work: push its due time behind the lease, so that it comes back by itself if whoever runs it dies.
-- Waiting for a worker is no try: outbox_begin counts those.
-- KEYS: outbox, outbox state, dead letters
-- ARGV: 1 now (s)  2 limit  3 lease (s)  4 maximum tries
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local claimed, dead = {}, {}
for _, member in ipairs(due) do
  local tries = tonumber(redis.call('HGET', KEYS[2], 'tries:' .. member) or 0)
  if tries >= tonumber(ARGV[4]) then
    redis.call('ZREM', KEYS[1], member)
    redis.call('HDEL', KEYS[2], 'tries:' .. member, 'first:' .. member)
    redis.call('HSETNX', KEYS[3], member, '{"reason":"gave up after ' .. ARGV[4] .. ' tries"}')
    dead[#dead + 1] = member
  else
    redis.call('ZADD', KEYS[1], string.format('%.3f', tonumber(ARGV[1]) + tonumber(ARGV[3])), member)
    claimed[#claimed + 1] = member
  end
end
return { claimed, dead }
