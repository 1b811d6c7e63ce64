-- Replace a session's document, note its unfinished items and put it into the outbox: one atomic step.
-- KEYS: session, marks, pending, outbox, outbox state
-- ARGV: 1 expected revision ('' any)  2 created ('' keep or now)  3 now (s)  4 ttl ms ('' persistent)
--       5 head json  6 ns  7 user  8 session  9 outbox member  10 debounce s  11 max wait s
--       12 mode: 'replace' or 'append'  13 message limit
--       14 messages in this call
--       then per item: kind ('m' message | 'r' record), id, digest, json, wanted ('1' promote, '0' not)
local wm, marks, pending, outbox, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = tonumber(ARGV[3])
local old = redis.call('HMGET', wm, 'rev', 'created', 'messages', 'memories', 'open', 'count')
local rev = tonumber(old[1] or '0')
if ARGV[1] ~= '' and tostring(rev) ~= ARGV[1] then
  return { 'conflict', rev }
end
local append = ARGV[12] == 'append'
local count = append and tonumber(old[6] or '0') or 0
if count + tonumber(ARGV[14]) > tonumber(ARGV[13]) then
  return { 'full', count }
end
local messages, memories, open, found = {}, {}, {}, {}
if append and old[5] then
  open = cmsgpack.unpack(old[5])
end
local unfinished = 0
for i = 15, #ARGV, 5 do
  local kind, id, digest, json, wanted = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local field = kind .. ':' .. id
  local mark = redis.call('HGET', marks, field)
  if mark and string.sub(mark, 1, 16) ~= digest then
    mark = false
  end
  if kind == 'm' then
    messages[#messages + 1] = json
    count = count + 1
  else
    memories[#memories + 1] = json
  end
  if mark or wanted == '1' then
    open[#open + 1] = field
  end
  if wanted == '1' and not mark then
    redis.call('HSET', pending, field, digest .. string.format('%08d', count) .. json)
    unfinished = unfinished + 1
  end
  found[#found + 1] = mark or ''
end
local created = ARGV[2]
if created == '' then
  created = old[2] or ARGV[3]
end
local all = '[' .. table.concat(messages, ',') .. ']'
local fields = { 'rev', rev + 1, 'created', created, 'updated', ARGV[3], 'ns', ARGV[6], 'user', ARGV[7], 'sess', ARGV[8],
  'open', cmsgpack.pack(open), 'count', count }
if append then
  if old[3] and old[3] ~= '[]' and #messages > 0 then
    all = string.sub(old[3], 1, -2) .. ',' .. table.concat(messages, ',') .. ']'
  elseif old[3] and #messages == 0 then
    all = old[3]
  end
  if not old[1] then
    fields[#fields + 1] = 'head'
    fields[#fields + 1] = ARGV[5]
    fields[#fields + 1] = 'memories'
    fields[#fields + 1] = '[]'
    fields[#fields + 1] = 'expires'
    fields[#fields + 1] = 'inf'
  end
else
  fields[#fields + 1] = 'head'
  fields[#fields + 1] = ARGV[5]
  fields[#fields + 1] = 'memories'
  fields[#fields + 1] = '[' .. table.concat(memories, ',') .. ']'
  fields[#fields + 1] = 'expires'
  fields[#fields + 1] = ARGV[4] == '' and 'inf' or tostring(now + tonumber(ARGV[4]) / 1000)
end
fields[#fields + 1] = 'messages'
fields[#fields + 1] = all
redis.call('HSET', wm, unpack(fields))
if not append then
  if ARGV[4] == '' then
    redis.call('PERSIST', wm)
    redis.call('PERSIST', marks)
  else
    redis.call('PEXPIRE', wm, ARGV[4])
    -- Marks outlive the document a little: its promotion may still be running.
    redis.call('PEXPIRE', marks, tonumber(ARGV[4]) + 86400000)
  end
end
if unfinished > 0 then
  local member = ARGV[9]
  local first = tonumber(redis.call('HGET', state, 'first:' .. member) or ARGV[3])
  redis.call('HSETNX', state, 'first:' .. member, ARGV[3])
  -- Trailing edge: each change moves the due time, but never past the first one plus the maximum wait.
  local due = math.min(now + tonumber(ARGV[10]), first + tonumber(ARGV[11]))
  redis.call('ZADD', outbox, string.format('%.3f', due), member)
end
return { 'ok', rev + 1, created, found, count }
