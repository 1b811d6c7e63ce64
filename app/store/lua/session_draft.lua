-- Keep a draft unless its session is gone: nothing of an erased session may come back.
-- KEYS: session, draft
-- ARGV: 1 draft  2 life time (s)
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
end
