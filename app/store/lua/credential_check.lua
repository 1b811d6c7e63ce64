-- One request of one caller: its token's record, and whether it may go on now. One round trip.
-- KEYS: token record (or ""), rate state
-- ARGV: requests per minute (0: no limit), "1" when the caller is known without a token record
-- The rate is a leaky bucket (GCRA): the state is the time at which the bucket will be empty again, in milliseconds.
local record = false
if KEYS[1] ~= '' then
  record = redis.call('GET', KEYS[1])
end
local per_minute = tonumber(ARGV[1])
if per_minute == 0 or not (record or ARGV[2] == '1') then
  return {record, 1, 0, 0}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local step = 60000 / per_minute
local empty_at = math.max(tonumber(redis.call('GET', KEYS[2]) or now), now)
local filled = empty_at + step - now
if filled > 60000 then
  return {record, 0, 0, math.ceil(filled - 60000)}
end
redis.call('SET', KEYS[2], string.format('%.3f', empty_at + step), 'PX', math.ceil(filled))
return {record, 1, math.floor((60000 - filled) / step), math.ceil(filled)}
