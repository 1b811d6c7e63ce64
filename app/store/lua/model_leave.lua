-- A model call ended: free its slot and note what that says about the endpoint.
-- KEYS: slots, health
-- ARGV: 1 token  2 'ok' | 'failed' | 'neutral'  3 pause for all (ms)  4 failures that open the breaker
--       5 how long it stays open (ms)
redis.call('ZREM', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if ARGV[2] == 'ok' then
  redis.call('HDEL', KEYS[2], 'failures', 'open')
elseif ARGV[2] == 'failed' then
  local failures = redis.call('HINCRBY', KEYS[2], 'failures', 1)
  if failures >= tonumber(ARGV[4]) then
    redis.call('HSET', KEYS[2], 'open', now + tonumber(ARGV[5]))
  end
end
local pause = tonumber(ARGV[3])
if pause > 0 then
  local paused = tonumber(redis.call('HGET', KEYS[2], 'paused') or '0')
  redis.call('HSET', KEYS[2], 'paused', math.max(paused, now + pause))
end
redis.call('PEXPIRE', KEYS[2], 86400000)
return 1
