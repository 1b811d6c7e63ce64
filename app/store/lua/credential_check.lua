-- One request of one caller: its token's record, and whether it may go on now. One round trip.
-- KEYS: token record (or ""), rate state, imported tokens (numbered), how far this token was compared with those
-- ARGV: requests per minute (0: no limit), "1" when the caller is known without a token record
-- Returns the record, allowed, remaining, milliseconds; for an unknown token also how many it is to be compared with.
-- The rate is a leaky bucket (GCRA): the state is the time at which the bucket will be empty again, in milliseconds.
local record, untried = false, 0
if KEYS[1] ~= '' then
  record = redis.call('GET', KEYS[1])
  if not record and redis.call('EXISTS', KEYS[3]) == 1 then
    untried = redis.call('ZCOUNT', KEYS[3], '(' .. (redis.call('GET', KEYS[4]) or '0'), '+inf')
  end
end
local per_minute = tonumber(ARGV[1])
if per_minute == 0 or not (record or ARGV[2] == '1') then
  return {record, 1, 0, 0, untried}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local step = 60000 / per_minute
local empty_at = math.max(tonumber(redis.call('GET', KEYS[2]) or now), now)
local filled = empty_at + step - now
if filled > 60000 then
  return {record, 0, 0, math.ceil(filled - 60000), 0}
end
redis.call('SET', KEYS[2], string.format('%.3f', empty_at + step), 'PX', math.ceil(filled))
return {record, 1, math.floor((60000 - filled) / step), math.ceil(filled), 0}
