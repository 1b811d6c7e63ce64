-- Apply the changes of one verdict, or of a batch of them, all or nothing.
-- KEYS: fingerprints, version, log, tombstones, erased, user's and tenant's verdicts, then per change: record, history
-- ARGV: 1 expected version ('' any)  2 now (s)  3 versions kept per memory  4 entries kept in the log
--       5 seconds a deleted memory can be restored (0: not at all)  6 key prefix of the scope's records
--       7 refuse a known fact ('1' as a conflict, '0' by skipping the change)  8 number of changes
--       9 entries kept in the user's stream of events (0: no events)  10 fields of vectors, with commas
--       11 what became of memories, to be counted: JSON [[verdict, encoded id], …]
--       then per change: kind ('put'|'drop')  encoded id  expected revision ('' any, '0' absent)  fingerprint
--       exclusive ('1': the fingerprint must not be another current memory's)  event JSON ('' none)
--       keep history ('1'|'0')  tombstone JSON ('' none)  stated (s, '' any)  fields that stay, with commas
--       number of fields  field, value…
-- Returns { 'ok', sequence, { per change: status, id } } or { 'conflict', id }.
local function current(id)
  local key = ARGV[6] .. id
  return redis.call('EXISTS', key) == 1 and redis.call('HEXISTS', key, 'to') == 0
end

local function is_vector(name)
  return string.match(name, '^vec%d*$') ~= nil
end

local function pack(parts)
  local out = {}
  for i = 1, #parts do
    out[i] = struct.pack('>I4', #parts[i]) .. parts[i]
  end
  return table.concat(out)
end

if ARGV[1] ~= '' and (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then
  return { 'conflict', '' }
end
local erased = redis.call('GET', KEYS[5])
local changes, at = {}, 12
for i = 1, tonumber(ARGV[8]) do
  local count = tonumber(ARGV[at + 10])
  local change = {
    kind = ARGV[at], id = ARGV[at + 1], expected = ARGV[at + 2], fingerprint = ARGV[at + 3],
    exclusive = ARGV[at + 4] == '1', event = ARGV[at + 5], history = ARGV[at + 6] == '1', tombstone = ARGV[at + 7],
    stated = ARGV[at + 8], stays = ARGV[at + 9], from = at + 11, to = at + 10 + count,
    record = KEYS[6 + 2 * i], versions = KEYS[7 + 2 * i],
  }
  for j = change.from, change.to, 2 do
    change.embedded = change.embedded or is_vector(ARGV[j])
  end
  changes[i] = change
  at = change.to + 1
  -- Records of 0.1 have their fingerprint as a tag, `fp`.
  local old = redis.call('HMGET', change.record, 'rev', 'mark', 'fp')
  change.revision, change.old_fingerprint = old[1], old[2] or old[3]
  if change.expected ~= '' and (old[1] or '0') ~= change.expected then
    return { 'conflict', change.id }
  end
  if change.exclusive and change.fingerprint ~= '' then
    local twin = redis.call('HGET', KEYS[1], change.fingerprint)
    if twin and twin ~= change.id and current(twin) then
      if ARGV[7] == '1' then
        return { 'conflict', twin }
      end
      change.twin = twin
    end
  end
end

local function announce(change, known)
  local kind = known and 'memory.updated' or 'memory.created'
  if change.kind == 'drop' then
    kind = known and 'memory.deleted' or nil
  elseif redis.call('HEXISTS', change.record, 'to') == 1 then
    kind = 'memory.superseded'
  end
  if kind and tonumber(ARGV[9]) > 0 then
    -- The fingerprints' key is `ltmh:{tenant}:user`.
    redis.call('XADD', 'events' .. string.sub(KEYS[1], 5), 'MAXLEN', '~', ARGV[9], '*', 'type', kind, 'id', change.id)
  end
end

local sequence = redis.call('INCR', KEYS[2])
local statuses, events = {}, {}
for i = 1, #changes do
  local change = changes[i]
  local skip = change.twin
  if erased and change.kind == 'put' and change.stated ~= '' and tonumber(change.stated) <= tonumber(erased) then
    skip = change.id
  end
  if skip then
    if change.twin then
      redis.call('HSET', ARGV[6] .. change.twin, 'accessed', ARGV[2])
    end
    statuses[#statuses + 1] = change.twin and 'same' or 'erased'
    statuses[#statuses + 1] = skip
  else
    local known = change.revision and true or false
    if change.history and known then
      -- Vectors that the change leaves as they are need not be kept twice: undoing it leaves them as well.
      local image = redis.call('HGETALL', change.record)
      local entry = { tostring(sequence), change.event }
      for j = 1, #image, 2 do
        if change.embedded or change.kind == 'drop' or not is_vector(image[j]) then
          entry[#entry + 1] = image[j]
          entry[#entry + 1] = image[j + 1]
        end
      end
      redis.call('RPUSH', change.versions, pack(entry))
      redis.call('LTRIM', change.versions, -tonumber(ARGV[3]), -1)
    end
    local old_fp = change.old_fingerprint
    if old_fp and (change.kind == 'drop' or old_fp ~= change.fingerprint)
      and redis.call('HGET', KEYS[1], old_fp) == change.id then
      redis.call('HDEL', KEYS[1], old_fp)
    end
    if change.kind == 'drop' then
      redis.call('DEL', change.record)
      if tonumber(ARGV[5]) > 0 then
        redis.call('EXPIRE', change.versions, ARGV[5])
      else
        redis.call('DEL', change.versions)
      end
      if change.tombstone ~= '' and old_fp and old_fp ~= '' then
        redis.call('HSET', KEYS[4], old_fp, change.tombstone)
      end
      statuses[#statuses + 1] = known and 'dropped' or 'absent'
    else
      local fields = { 'mark', change.fingerprint, 'rev', tostring(sequence), 'put', ARGV[2] }
      for j = change.from, change.to, 2 do
        fields[#fields + 1] = ARGV[j]
        fields[#fields + 1] = ARGV[j + 1]
      end
      -- What stays: what searches counted, and the vectors of an unchanged text. One vector of a changed text and
      -- another of the old one would not go together.
      local names = {}
      for name in string.gmatch(change.embedded and change.stays or change.stays .. ',' .. ARGV[10], '[^,]+') do
        names[#names + 1] = name
      end
      local kept = #names > 0 and redis.call('HMGET', change.record, unpack(names)) or {}
      for j, name in ipairs(names) do
        if kept[j] then
          fields[#fields + 1] = name
          fields[#fields + 1] = kept[j]
        end
      end
      redis.call('DEL', change.record)
      redis.call('HSET', change.record, unpack(fields))
      redis.call('PERSIST', change.versions)
      if change.fingerprint ~= '' and redis.call('HEXISTS', change.record, 'to') == 0 then
        local owner = redis.call('HGET', KEYS[1], change.fingerprint)
        if not owner or not current(owner) then
          redis.call('HSET', KEYS[1], change.fingerprint, change.id)
        end
        if change.tombstone == 'clear' then
          redis.call('HDEL', KEYS[4], change.fingerprint)
        end
      end
      statuses[#statuses + 1] = known and 'replaced' or 'stored'
    end
    statuses[#statuses + 1] = change.id
    announce(change, known)
    -- Events that differ in their ids only are one entry. See `codec.event_to_json`.
    local head, ids = string.match(change.event, '^(.*)\n%[(.*)%]$')
    local last = events[#events]
    if head and last and last.head == head then
      last.ids[#last.ids + 1] = ids
    elseif change.event ~= '' then
      events[#events + 1] = { head = head, ids = { ids }, whole = change.event }
    end
  end
end
if #events > 0 and tonumber(ARGV[4]) > 0 then
  for i = 1, #events do
    local event = events[i]
    local told = event.head and event.head .. '\n[' .. table.concat(event.ids, ',') .. ']' or event.whole
    redis.call('RPUSH', KEYS[3], pack({ tostring(sequence), told }))
  end
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[4]), -1)
end
local final = {}
for i = 1, #statuses, 2 do
  -- Of a change that was left out the id is that of the memory that states the fact.
  final[changes[(i + 1) / 2].id] = statuses[i]
end
for _, told in ipairs(cjson.decode(ARGV[11])) do
  local status = final[told[2]]
  if status ~= 'erased' then
    local verdict = status == 'same' and 'same' or told[1]
    redis.call('HINCRBY', KEYS[6], verdict, 1)
    redis.call('HINCRBY', KEYS[7], verdict, 1)
  end
end
return { 'ok', sequence, statuses }
