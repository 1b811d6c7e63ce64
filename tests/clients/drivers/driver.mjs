// Takes steps through the JavaScript client: JSON steps on stdin, a JSON result for each on stdout.
import { readFileSync } from "node:fs";
import { MemoryAPIClient, MemoryNotFoundError, MemoryServerError } from "@agent-memory-platform/client";

const [baseUrl, defaultNamespace] = process.argv.slice(2);
const client = new MemoryAPIClient({ baseUrl, defaultNamespace });
let view = "";

/** A wire request as the client's options. */
function options({ user_id, memory_type, distance_threshold, ...rest }) {
  return { ...rest, userId: user_id, memoryType: memory_type, distanceThreshold: distance_threshold };
}

const steps = {
  health: () => client.healthCheck(),
  get_or_create: ({ id }) => client.getOrCreateWorkingMemory(id),
  put: ({ id, session }) => client.putWorkingMemory(id, session),
  set_data: ({ id, data }) => client.setWorkingMemoryData(id, data),
  append: ({ id, messages }) => client.appendMessagesToWorkingMemory(id, messages),
  add_memories: ({ id, memories }) => client.addMemoriesToWorkingMemory(id, memories),
  promote: ({ id }) => client.promoteWorkingMemoriesToLongTerm(id),
  list_sessions: (page) => client.listSessions(page),
  delete_session: ({ id }) => client.deleteWorkingMemory(id),
  create: ({ memories }) => client.createLongTermMemory(memories),
  bulk: ({ memories, batch }) => client.bulkCreateLongTermMemories([memories], { batchSize: batch }),
  search: ({ request }) => client.searchLongTermMemory(options(request)),
  search_all: async ({ request, batch }) => {
    const hits = [];
    for await (const hit of client.searchAllLongTermMemories({ ...options(request), batchSize: batch })) hits.push(hit);
    return hits;
  },
  get: ({ id }) => client.getLongTermMemory(id),
  edit: ({ id, updates }) => client.editLongTermMemory(id, updates),
  delete: ({ ids }) => client.deleteLongTermMemories(ids),
  forget: ({ policy }) => client.forgetLongTermMemories({ policy, dryRun: true }),
  prompt: ({ query, session, search }) =>
    client.memoryPrompt({ query, session: { session_id: session }, long_term_search: search }),
  create_view: async ({ view: request }) => {
    const made = await client.createSummaryView(request);
    view = made.id;
    return made;
  },
  get_view: () => client.getSummaryView(view),
  list_views: async () => (await client.listSummaryViews()).filter((v) => v.id === view),
  run_partition: ({ group }) => client.runSummaryViewPartition(view, group),
  list_partitions: () => client.listSummaryViewPartitions(view),
  run_view: async () => client.waitForTask((await client.runSummaryView(view)).id, { every: 100 }),
  delete_view: () => client.deleteSummaryView(view),
  get_task: ({ id }) => client.getTask(id),
};

const results = [];
for (const [name, given] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    results.push((await steps[name](given)) ?? { error: 404 });
  } catch (error) {
    if (!(error instanceof MemoryNotFoundError || error instanceof MemoryServerError)) throw error;
    results.push({ error: error.statusCode });
  }
}
console.log(JSON.stringify(results));
