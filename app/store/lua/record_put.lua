-- Store one memory, or find that the same fact is there already: atomic, so two workers end with one record.
-- KEYS: record, fingerprints
-- ARGV: 1 encoded id  2 fingerprint ('' none)  3 deduplicate ('1'|'0')  4 key prefix of the scope  5 accessed (s)
--       6 expected revision ('' any)  7.. field, value
local fingerprint = ARGV[2]
local old = redis.call('HMGET', KEYS[1], 'fp', 'rev', 'accessed', 'count')
if ARGV[6] ~= '' and (old[2] or '0') ~= ARGV[6] then
  return { 'conflict', old[2] or '0' }
end
if fingerprint ~= '' and ARGV[3] == '1' then
  local twin = redis.call('HGET', KEYS[2], fingerprint)
  if twin and twin ~= ARGV[1] then
    local twin_key = ARGV[4] .. twin
    if redis.call('EXISTS', twin_key) == 1 then
      redis.call('HSET', twin_key, 'accessed', ARGV[5])
      return { 'same', twin }
    end
  end
end
if old[1] and old[1] ~= fingerprint and redis.call('HGET', KEYS[2], old[1]) == ARGV[1] then
  redis.call('HDEL', KEYS[2], old[1])
end
local fields = { 'fp', fingerprint, 'rev', tonumber(old[2] or '0') + 1 }
for i = 7, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
if ARGV[6] ~= '' and old[2] then
  -- An update keeps what searches counted meanwhile.
  fields[#fields + 1] = 'accessed'
  fields[#fields + 1] = old[3]
  fields[#fields + 1] = 'count'
  fields[#fields + 1] = old[4]
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(fields))
if fingerprint ~= '' then
  local owner = redis.call('HGET', KEYS[2], fingerprint)
  if not owner or redis.call('EXISTS', ARGV[4] .. owner) == 0 then
    redis.call('HSET', KEYS[2], fingerprint, ARGV[1])
  end
end
return { old[2] and 'replaced' or 'stored', ARGV[1] }
