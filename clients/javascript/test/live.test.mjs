// Every method against a running server: AGENT_MEMORY_URL=http://localhost:8000 npm test
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import {
  CreatedAt,
  MemoryAPIClient,
  MemoryServerError,
  MemoryValidationError,
  Namespace,
  Topics,
  UserId,
} from "@agent-memory-platform/client";

const baseUrl = process.env.AGENT_MEMORY_URL;
const skip = baseUrl ? false : "AGENT_MEMORY_URL is not set";

function fresh() {
  const defaultNamespace = `js-${randomUUID().slice(0, 12)}`;
  return { namespace: defaultNamespace, client: new MemoryAPIClient({ baseUrl, defaultNamespace }) };
}
const texts = (page) => page.memories.map((memory) => memory.text);

test("answers a health check", { skip }, async () => {
  assert.ok(Math.abs((await fresh().client.healthCheck()).now - Date.now()) < 60_000);
});

test("keeps sessions", { skip }, async () => {
  const { client, namespace } = fresh();
  const id = "a/session with ü";
  assert.equal(await client.getWorkingMemory(id), null);
  const created = await client.getOrCreateWorkingMemory(id, { userId: "maya", ttlSeconds: 3600 });
  assert.equal(created.session_id, id);
  assert.equal(created.namespace, namespace);
  assert.equal(created.ttl_seconds, 3600);

  await client.putWorkingMemory(id, {
    user_id: "maya",
    messages: [{ role: "user", content: "Hello!", created_at: new Date().toISOString() }],
    data: { theme: "dark" },
  });
  const { message_ids } = await client.appendMessagesToWorkingMemory(id, [{ role: "assistant", content: "Hi there!" }], {
    userId: "maya",
  });
  const stored = await client.getWorkingMemory(id, { userId: "maya", contextWindowMax: 1000 });
  assert.deepEqual(stored.messages.map((m) => m.content), ["Hello!", "Hi there!"]);
  assert.equal(stored.messages[1].id, message_ids[0]);
  assert.deepEqual(stored.data, { theme: "dark" });
  assert.ok(stored.context_percentage_total_used > 0);
  assert.deepEqual(await client.listSessions({ userId: "maya", limit: 5 }), { sessions: [id], total: 1 });

  await client.setWorkingMemoryData(id, { lang: "pt" }, { userId: "maya" });
  const kept = await client.getOrCreateWorkingMemory(id, { userId: "maya" });
  assert.deepEqual(kept.data, { theme: "dark", lang: "pt" });
  assert.equal(kept.messages.length, 2);
  await client.setWorkingMemoryData(id, { only: 1 }, { userId: "maya", preserveExisting: false });
  assert.deepEqual((await client.getWorkingMemory(id, { userId: "maya" })).data, { only: 1 });

  assert.equal((await client.deleteWorkingMemory(id, { userId: "maya" })).status, "ok");
  assert.equal(await client.getWorkingMemory(id, { userId: "maya" }), null);
});

test("loses no change of writers at once", { skip }, async () => {
  const { client } = fresh();
  const writers = Array.from({ length: 5 }, (_, i) =>
    client.updateWorkingMemory("shared", (session) => ({ ...session, data: { ...session?.data, [`key${i}`]: i } })),
  );
  await Promise.all(writers);
  const { data } = await client.getWorkingMemory("shared");
  assert.deepEqual(data, { key0: 0, key1: 1, key2: 2, key3: 3, key4: 4 });
});

test("creates, finds, changes and deletes memories", { skip }, async () => {
  const { client, namespace } = fresh();
  const { results } = await client.createLongTermMemory([
    { text: "Maya likes window seats on trains", user_id: "maya", topics: ["travel"], memory_type: "semantic" },
    { text: "Tom is allergic to peanuts", user_id: "tom", topics: ["health"] },
  ]);
  assert.deepEqual(results.map((r) => r.status), ["stored", "stored"]);
  const [maya, tom] = results.map((r) => r.memory_id);

  assert.equal((await client.searchLongTermMemory({ text: "where does she sit on a train?" })).memories[0].id, maya);
  for (const userId of ["tom", { eq: "tom" }, new UserId({ in_: ["tom"] })]) {
    assert.deepEqual(texts(await client.searchLongTermMemory({ text: "food", userId })), ["Tom is allergic to peanuts"]);
  }
  const found = await client.searchLongTermMemory({
    text: "peanuts",
    searchMode: "hybrid",
    hybridAlpha: 0.5,
    topics: new Topics({ any: ["health", "food"], none: ["travel"] }),
    createdAt: new CreatedAt({ gte: new Date(Date.now() - 3_600_000) }),
    recency: { recency_boost: true, half_life_created_days: 10 },
  });
  assert.deepEqual(found.memories.map((m) => [m.id, m.score_type]), [[tom, "hybrid"]]);
  const elsewhere = await client.searchLongTermMemory({ text: "peanuts", namespace: new Namespace({ eq: "nowhere" }) });
  assert.equal(elsewhere.total, 0, "a namespace that is given goes before the default one");
  const stranger = fresh().client;
  assert.equal((await stranger.searchLongTermMemory({ text: "peanuts" })).total, 0, "the default namespace bounds a search");

  const edited = await client.editLongTermMemory(tom, { text: "Tom is allergic to walnuts", pinned: true });
  assert.equal(edited.text, "Tom is allergic to walnuts");
  assert.equal((await client.getLongTermMemory(tom)).pinned, true);
  const forgotten = await client.forgetLongTermMemories({ policy: { max_age_days: 1 }, namespace });
  assert.deepEqual([forgotten.dry_run, forgotten.deleted], [true, 0]);
  assert.match((await client.compactLongTermMemories()).status, /2 memories remaining/);
  assert.match((await client.deleteLongTermMemories([maya, tom, "unknown"])).status, /deleted 2/);
  assert.equal(await client.getLongTermMemory(maya), null);
});

test("pages through everything, and creates it in batches", { skip }, async () => {
  const { client } = fresh();
  const numbers = Array.from({ length: 25 }, (_, i) => ({ text: `Locker ${i} belongs to employee number ${i * 7}` }));
  const answers = await client.bulkCreateLongTermMemories([numbers.slice(0, 15), numbers.slice(15)], {
    batchSize: 10,
    deduplicate: false,
  });
  assert.equal(answers.length, 3);
  const seen = [];
  const recency = { recency_boost: false }; // age reorders pages while they are read
  for await (const memory of client.searchAllLongTermMemories({ text: "locker", batchSize: 10, recency })) seen.push(memory.text);
  assert.deepEqual(seen.sort(), numbers.map((n) => n.text).sort());
});

test("promotes structured memories of a session and hydrates a prompt", { skip }, async () => {
  const { client } = fresh();
  await client.putWorkingMemory("s", { user_id: "maya", messages: [{ role: "user", content: "I am back." }] });
  await client.addMemoriesToWorkingMemory("s", [{ text: "Maya lives in Lisbon", memory_type: "semantic" }], { userId: "maya" });
  assert.equal((await client.promoteWorkingMemoriesToLongTerm("s", [], { userId: "maya" })).status, "ok");
  assert.equal((await client.promoteWorkingMemoriesToLongTerm("s", undefined, { userId: "maya" })).status, "ok");
  const prompt = await client.memoryPrompt({
    query: "Where does Maya live?",
    session: { session_id: "s", user_id: "maya" },
    long_term_search: { text: "Where does Maya live?", user_id: { eq: "maya" }, limit: 3 },
  });
  const said = prompt.messages.map((m) => m.content.text).join("\n");
  assert.match(said, /I am back\./);
  assert.match(said, /Lisbon/);
  assert.equal(prompt.messages.at(-1).content.text, "Where does Maya live?");
});

test("summarizes by view", { skip }, async () => {
  const { client, namespace } = fresh();
  await client.createLongTermMemory([{ text: "Maya plays the cello", user_id: "maya" }]);
  const view = await client.createSummaryView({
    name: "per user",
    source: "long_term",
    group_by: ["user_id"],
    filters: { namespace },
  });
  try {
    assert.deepEqual(await client.getSummaryView(view.id), view);
    assert.ok((await client.listSummaryViews()).some((v) => v.id === view.id));
    const partition = await client.runSummaryViewPartition(view.id, { user_id: "maya" });
    assert.match(partition.summary, /cello/);
    const task = await client.waitForTask((await client.runSummaryView(view.id)).id);
    assert.equal(task.status, "success", task.error_message);
    const listed = await client.listSummaryViewPartitions(view.id, { userId: "maya" });
    assert.deepEqual(listed.map((p) => [p.group, p.memory_count]), [[{ user_id: "maya" }, 1]]);
    assert.equal(await client.getTask("no-such-task"), null);
  } finally {
    await client.deleteSummaryView(view.id);
  }
  assert.equal(await client.getSummaryView(view.id), null);
});

test("checks values before sending them, and says what the server refuses", { skip }, async () => {
  const { client } = fresh();
  assert.throws(() => client.validateMemoryRecord({ text: "  " }), MemoryValidationError);
  assert.throws(() => client.validateMemoryRecord({ text: "x", id: "not a ulid" }), MemoryValidationError);
  assert.throws(() => client.validateSearchFilters({ limit: 0 }), MemoryValidationError);
  client.validateMemoryRecord({ text: "x", memory_type: "semantic" });
  client.validateSearchFilters({ limit: 10, offset: 0, distanceThreshold: 0.5 });
  await assert.rejects(client.searchLongTermMemory({ text: "x", limit: 1000 }), (error) => {
    assert.ok(error instanceof MemoryServerError);
    assert.equal(error.statusCode, 422);
    assert.match(error.message, /^body\.limit: /);
    return true;
  });
});
