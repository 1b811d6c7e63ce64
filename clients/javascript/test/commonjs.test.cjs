// The package can be required as well as imported, and both are the same API.
const assert = require("node:assert/strict");
const { test } = require("node:test");

test("can be required", async () => {
  const required = require("@agent-memory-platform/client");
  const imported = await import("@agent-memory-platform/client");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort());
  assert.ok(new required.MemoryAPIClient({ baseUrl: "http://localhost:8000" }));
});

test("makes ULIDs that sort by time", () => {
  const { ulid } = require("@agent-memory-platform/client");
  assert.match(ulid(), /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  assert.ok(ulid(1_000) < ulid(2_000));
  assert.equal(ulid(1_700_000_000_000).slice(0, 10), "01HF7YAT00");
});
