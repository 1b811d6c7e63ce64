-- Delete one memory and its fingerprint. KEYS: record, fingerprints  ARGV: 1 encoded id
local fingerprint = redis.call('HGET', KEYS[1], 'fp')
if fingerprint and redis.call('HGET', KEYS[2], fingerprint) == ARGV[1] then
  redis.call('HDEL', KEYS[2], fingerprint)
end
return redis.call('DEL', KEYS[1])
