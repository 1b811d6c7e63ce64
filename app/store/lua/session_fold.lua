-- Let a summary stand for messages of a session, all at once or not at all, and end or renew the work in the outbox.
-- The document stays as the client put it. With no messages to fold, only the work is ended.
-- KEYS: session, fold, draft, outbox, outbox state, dead letters, the user's stream of events
-- ARGV: 1 outbox member  2 now (s)  3 birth of the session that was read  4 its revision  5 revision of the fold then
--       6 tokens shown afterwards  7 messages shown afterwards
--       8 entries kept in the stream of events (0: no events)  9 the session's id
--       10 summary  11 count  12 the session's token counter  13 absorbed contexts  14.. folded items
local member, now = ARGV[1], ARGV[2]
local doc = redis.call('HMGET', KEYS[1], 'born', 'rev', 'limit')
local function finish()
  redis.call('DEL', KEYS[3])
  redis.call('ZREM', KEYS[4], member)
  redis.call('HDEL', KEYS[5], 'tries:' .. member)
  redis.call('HDEL', KEYS[6], member)
end
if doc[1] ~= ARGV[3] then
  -- Deleted or started afresh meanwhile. If there is something to fold in the new session, look again.
  finish()
  if doc[1] then
    redis.call('ZADD', KEYS[4], now, member)
  end
  return 'gone'
end
if (redis.call('HGET', KEYS[2], 'rev') or '0') ~= ARGV[5] then
  finish()
  redis.call('ZADD', KEYS[4], now, member)
  return 'conflict'
end
if #ARGV > 13 then
  redis.call('HSET', KEYS[2], 'summary', ARGV[10], 'rev', tonumber(ARGV[5]) + 1, 'count', ARGV[11], 'tokens', ARGV[12], 'absorbed', ARGV[13])
  for i = 14, #ARGV do
    redis.call('HSET', KEYS[2], ARGV[i], '1')
  end
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl > 0 then
    redis.call('PEXPIRE', KEYS[2], ttl)
  else
    redis.call('PERSIST', KEYS[2])
  end
  if tonumber(ARGV[8]) > 0 then
    redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[8], '*', 'type', 'session.summarized', 'session_id', ARGV[9])
  end
end
finish()
if doc[2] == ARGV[4] then
  redis.call('HSET', KEYS[1], 'size', ARGV[6], 'shown', ARGV[7])
end
if doc[2] ~= ARGV[4] or (doc[3] ~= '' and tonumber(ARGV[7]) > 1 and tonumber(ARGV[6]) > tonumber(doc[3])) then
  -- The client has put something since, so it may be too long again, or it is.
  redis.call('ZADD', KEYS[4], now, member)
end
return 'folded'
