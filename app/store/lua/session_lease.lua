-- Takes the lease of a session, or prolongs it for whoever holds it.
-- KEYS: lease   ARGV: token, milliseconds   → 1, or 0 when somebody else holds it
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
