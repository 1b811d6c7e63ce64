-- An imported token becomes an ordinary one, once.
-- KEYS: imported tokens (numbered), record of the token, hashes of all tokens
-- ARGV: its number, the record's JSON, the token's hash, when the record is forgotten (Unix seconds; "": never)
-- Returns whether it was there to be claimed.
if redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
if ARGV[4] == '' then
  redis.call('SET', KEYS[2], ARGV[2], 'NX')
else
  redis.call('SET', KEYS[2], ARGV[2], 'NX', 'EXAT', ARGV[4])
end
redis.call('SADD', KEYS[3], ARGV[3])
return 1
