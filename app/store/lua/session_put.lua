-- Replace a session's document, note its unfinished items and put it into the outbox: one atomic step.
-- KEYS: session, marks, pending, outbox, outbox state, fold
-- ARGV: 1 expected revision ('' any)  2 created ('' keep or now)  3 now (s)  4 ttl ms ('' persistent)
--       5 head json  6 ns  7 user  8 session  9 outbox member  10 debounce s  11 max wait s
--       12 mode: 'replace' or 'append'  13 message limit
--       14 messages in this call  15 window in tokens  16 tokens over which to fold ('' never)
--       17 outbox member of the fold  18 '1' if the client sends a context
--       then per item: kind ('m' message | 'r' record), id, digest, json, wanted ('1' promote, '0' not), tokens
local wm, marks, pending, outbox, state, fold = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = tonumber(ARGV[3])
local old = redis.call('HMGET', wm, 'rev', 'created', 'messages', 'memories', 'open', 'count',
  'items', 'size', 'shown', 'window', 'limit', 'born')
local rev = tonumber(old[1] or '0')
if ARGV[1] ~= '' and tostring(rev) ~= ARGV[1] then
  return { 'conflict', rev }
end
local append = ARGV[12] == 'append'
local count = append and tonumber(old[6] or '0') or 0
if count + tonumber(ARGV[14]) > tonumber(ARGV[13]) then
  return { 'full', count }
end
local born, window, limit = old[12], ARGV[15], ARGV[16]
if not old[1] or (not append and ARGV[14] == '0' and ARGV[18] ~= '1') then
  -- A new session, or one that the client has emptied: nothing of an earlier one shines through.
  redis.call('DEL', fold)
  born = table.concat(redis.call('TIME'), '.')
end
local messages, memories, open, found, items, folded = {}, {}, {}, {}, {}, {}
local size, shown = 0, 0
if append and old[1] then
  open, items = cmsgpack.unpack(old[5]), cmsgpack.unpack(old[7])
  size, shown = tonumber(old[8]), tonumber(old[9])
  window, limit = old[10], old[11]
end
local folding = redis.call('EXISTS', fold) == 1
local unfinished = 0
for i = 19, #ARGV, 6 do
  local kind, id, digest, json, wanted = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local field = kind .. ':' .. id
  local mark = redis.call('HGET', marks, field)
  if mark and string.sub(mark, 1, 16) ~= digest then
    mark = false
  end
  if kind == 'm' then
    messages[#messages + 1] = json
    count = count + 1
    items[#items + 1] = 'm:' .. digest .. id
    if folding and redis.call('HEXISTS', fold, items[#items]) == 1 then
      folded[#folded + 1] = #messages - 1
    else
      size, shown = size + tonumber(ARGV[i + 5]), shown + 1
    end
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
  'open', cmsgpack.pack(open), 'count', count, 'items', cmsgpack.pack(items), 'size', size, 'shown', shown,
  'window', window, 'limit', limit, 'born', born }
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
    redis.call('PERSIST', fold)
  else
    redis.call('PEXPIRE', wm, ARGV[4])
    redis.call('PEXPIRE', fold, ARGV[4])
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
if limit ~= '' and shown > 1 and size > tonumber(limit) then
  -- A fold that is due or under way looks at the whole session when it ends.
  redis.call('ZADD', outbox, 'NX', ARGV[3], ARGV[17])
end
local summary = {}
if folding then
  summary = redis.call('HMGET', fold, 'summary', 'rev', 'count', 'tokens', 'absorbed')
end
return { 'ok', rev + 1, created, found, summary, folded }
