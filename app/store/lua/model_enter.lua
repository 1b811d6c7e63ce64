-- May a model call start now? Counts it in if so. One step for all workers: breaker, pause, concurrency and pace.
-- KEYS: slots, pace, health
-- ARGV: 1 token  2 most at once  3 life of a slot (ms)  4 ms between calls (0: any pace)  5 burst (calls)
--       6 failures that open the breaker  7 how long it stays open (ms)
-- Returns: ms to wait (0: go), why
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local health = redis.call('HMGET', KEYS[3], 'paused', 'failures', 'open')
local paused = tonumber(health[1] or '0')
if paused > now then
  return { paused - now, 'paused' }
end
local broken = tonumber(health[2] or '0') >= tonumber(ARGV[6])
if broken and tonumber(health[3] or '0') > now then
  return { tonumber(health[3]) - now, 'open' }
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return { 100, 'busy' }
end
local interval = tonumber(ARGV[4])
if interval > 0 then
  local due = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), now)
  local early = due - now - interval * tonumber(ARGV[5])
  if early > 0 then
    return { math.ceil(early), 'pace' }
  end
  redis.call('SET', KEYS[2], due + interval, 'PX', math.ceil(due - now + interval * 2 + 1000))
end
if broken then
  -- Half open: this call probes, the others wait for what it finds.
  redis.call('HSET', KEYS[3], 'open', now + tonumber(ARGV[7]))
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { 0, '' }
