// What the client does with a server that misbehaves: a real one, on a loopback socket, that answers as it is told.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, beforeEach, test } from "node:test";
import { MemoryAPIClient, MemoryClientError, MemoryNotFoundError, MemoryServerError } from "@agent-memory-platform/client";

const requests = [];
let answers = [];
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    requests.push({ method: request.method, url: request.url, headers: request.headers, body });
    const [status, text, headers = {}] = answers.shift() ?? [200, '{"now": 1}'];
    if (status === "hang up") return request.socket.destroy();
    if (status === "silence") return undefined;
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    return response.end(text);
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const baseUrl = `http://127.0.0.1:${server.address().port}`;
const client = (more = {}) => new MemoryAPIClient({ baseUrl, retryDelay: 1, ...more });

after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  requests.length = 0;
  answers = [];
});

test("sends the credentials that it is given", async () => {
  await client({ apiKey: "key", bearerToken: "token" }).healthCheck();
  assert.equal(requests[0].headers["x-api-key"], "key");
  assert.equal(requests[0].headers.authorization, "Bearer token");
  assert.match(requests[0].headers["user-agent"], /^agent-memory-platform-js\//);
});

test("keeps a path in the base URL", async () => {
  await client({ baseUrl: `${baseUrl}/memory/` }).healthCheck();
  assert.equal(requests[0].url, "/memory/v1/health");
});

test("tries again when the server is away, whatever the method", async () => {
  answers = [[503, '{"detail": "away"}'], [429, "{}"], [200, '{"status": "ok"}']];
  assert.deepEqual(await client().createLongTermMemory([{ text: "x" }]), { status: "ok" });
  assert.equal(requests.length, 3);
  assert.equal(new Set(requests.map((r) => r.body)).size, 1, "the same memory, with the same id");
});

test("waits as long as Retry-After says", async () => {
  answers = [[503, "{}", { "Retry-After": "1" }]];
  const start = performance.now();
  await client().healthCheck();
  assert.ok(performance.now() - start >= 990);
});

test("gives up after so many retries, with what the server said", async () => {
  answers = Array(3).fill([503, '{"detail": "Redis cannot be reached"}']);
  await assert.rejects(client({ retries: 1 }).healthCheck(), (error) => {
    assert.ok(error instanceof MemoryServerError);
    assert.equal(error.statusCode, 503);
    assert.equal(error.message, "Redis cannot be reached");
    return true;
  });
  assert.equal(requests.length, 2);
});

test("repeats a request whose answer got lost, but none that must not be done twice", async () => {
  answers = [["hang up"]];
  await client().getWorkingMemory("s");
  assert.equal(requests.length, 2);
  for (const lost of [["hang up"], [504, "{}"]]) {
    requests.length = 0;
    answers = [lost];
    await assert.rejects(client().appendMessagesToWorkingMemory("s", [{ role: "user", content: "once" }]), MemoryClientError);
    assert.equal(requests.length, 1);
  }
});

test("does not try again what the server refused", async () => {
  answers = [[422, '{"detail": [{"loc": ["body", "limit"], "msg": "Too large", "type": "x", "input": 101}]}']];
  await assert.rejects(client().searchLongTermMemory({ text: "x", limit: 101 }), (error) => {
    assert.equal(error.statusCode, 422);
    assert.equal(error.message, "body.limit: Too large");
    assert.equal(error.detail[0].input, 101);
    return true;
  });
  assert.equal(requests.length, 1);
});

test("ends a request that takes too long", async () => {
  answers = [["silence"]];
  await assert.rejects(client({ timeout: 50, retries: 0 }).healthCheck(), /timeout after 50 ms/);
});

test("says why the server could not be reached", async () => {
  await assert.rejects(client({ baseUrl: "http://127.0.0.1:1", retries: 0 }).healthCheck(), /ECONNREFUSED|bad port/);
});

test("does not take a proxy's page for an answer", async () => {
  answers = [[200, "<html>login</html>"]];
  await assert.rejects(client().healthCheck(), /not JSON: <html>login/);
  answers = [[500, "<html>oops</html>"]];
  await assert.rejects(client().healthCheck(), { message: "<html>oops</html>", statusCode: 500 });
});

test("takes 404 for null only where something is asked for by id, and never any other error", async () => {
  answers = [[404, '{"detail": "Session s not found"}']];
  assert.equal(await client().getWorkingMemory("s"), null);
  answers = [[404, '{"detail": "SummaryView v not found"}']];
  await assert.rejects(client().runSummaryViewPartition("v", {}), MemoryNotFoundError);
  answers = Array(3).fill([503, "{}"]);
  await assert.rejects(client().getOrCreateWorkingMemory("s"), MemoryServerError);
  assert.ok(requests.every((r) => r.method !== "PUT"), "a server that is away does not erase a session");
});
