-- Undo one change: every memory that it touched gets back the state it had before, all or nothing.
-- KEYS: fingerprints, version, log, tombstones, then per memory: record, history
-- ARGV: 1 sequence of the change  2 entries kept in the log  3 event JSON  4 key prefix of the scope's records
--       5 entries kept in the user's stream of events (0: no events)  6.. encoded id
-- Returns { 'ok', sequence } or { 'conflict', encoded id } when a later change of a memory comes first.
local function unpacked(blob)
  local parts, at = {}, 1
  while at <= #blob do
    local size = struct.unpack('>I4', string.sub(blob, at, at + 3))
    parts[#parts + 1] = string.sub(blob, at + 4, at + 3 + size)
    at = at + 4 + size
  end
  return parts
end

local function is_vector(name)
  return string.match(name, '^vec%d*$') ~= nil
end

-- Records of 0.1 have their fingerprint as a tag, `fp`.
local function fingerprint_of(record)
  local found = redis.call('HMGET', record, 'mark', 'fp')
  return found[1] or found[2]
end

local entries = {}
for i = 6, #ARGV do
  local blob = redis.call('LINDEX', KEYS[4 + 2 * (i - 5)], -1)
  if not blob then
    return { 'conflict', ARGV[i] }
  end
  entries[i] = unpacked(blob)
  if entries[i][1] ~= ARGV[1] then
    return { 'conflict', ARGV[i] }
  end
end
for i = 6, #ARGV do
  local record, versions, id, entry = KEYS[3 + 2 * (i - 5)], KEYS[4 + 2 * (i - 5)], ARGV[i], entries[i]
  local present = fingerprint_of(record)
  if present and redis.call('HGET', KEYS[1], present) == id then
    redis.call('HDEL', KEYS[1], present)
  end
  local now = redis.call('HGETALL', record)
  redis.call('DEL', record)
  redis.call('RPOP', versions)
  redis.call('PERSIST', versions)
  if #entry > 2 then
    local fields, embedded = {}, false
    for j = 3, #entry, 2 do
      embedded = embedded or is_vector(entry[j])
      fields[#fields + 1] = entry[j]
      fields[#fields + 1] = entry[j + 1]
    end
    -- A change that left the vectors as they were did not keep them: they are those that the memory has.
    for j = 1, embedded and 0 or #now, 2 do
      if is_vector(now[j]) then
        fields[#fields + 1] = now[j]
        fields[#fields + 1] = now[j + 1]
      end
    end
    redis.call('HSET', record, unpack(fields))
    local fingerprint = fingerprint_of(record)
    if fingerprint and fingerprint ~= '' then
      redis.call('HDEL', KEYS[4], fingerprint)
      local owner = redis.call('HGET', KEYS[1], fingerprint)
      local lives = owner and redis.call('EXISTS', ARGV[4] .. owner) == 1
        and redis.call('HEXISTS', ARGV[4] .. owner, 'to') == 0
      if not lives and redis.call('HEXISTS', record, 'to') == 0 then
        redis.call('HSET', KEYS[1], fingerprint, id)
      end
    end
  end
  if tonumber(ARGV[5]) > 0 then
    local kind = #entry > 2 and 'memory.updated' or 'memory.deleted'
    redis.call('XADD', 'events' .. string.sub(KEYS[1], 5), 'MAXLEN', '~', ARGV[5], '*', 'type', kind, 'id', id)
  end
end
local sequence = redis.call('INCR', KEYS[2])
if tonumber(ARGV[2]) > 0 then
  local said = tostring(sequence)
  redis.call('RPUSH', KEYS[3], struct.pack('>I4', #said) .. said .. struct.pack('>I4', #ARGV[3]) .. ARGV[3])
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[2]), -1)
end
return { 'ok', sequence }
