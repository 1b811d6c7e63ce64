// A chat agent with memory.
//
//   npm install <path to clients/javascript>
//   node chat.mjs maya            # Ctrl-D ends the conversation; the next one remembers it
//
// MEMORY_URL, MEMORY_NAMESPACE, OPENAI_API_KEY, OPENAI_BASE_URL (any compatible server) and MODEL come from the environment.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { MemoryAPIClient } from "@agent-memory-platform/client";

const env = process.env;
const MODEL = env.MODEL ?? "gpt-5-mini";
const INSTRUCTIONS = "You are a helpful assistant. Use what you remember about the user when it matters.";
const memory = new MemoryAPIClient({
  baseUrl: env.MEMORY_URL ?? "http://localhost:8000",
  defaultNamespace: env.MEMORY_NAMESPACE ?? "chat",
});

async function complete(messages) {
  const response = await fetch(`${env.OPENAI_BASE_URL ?? "https://api.openai.com/v1"}/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${env.OPENAI_API_KEY}` },
    body: JSON.stringify({ model: MODEL, messages }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()).choices[0].message.content;
}

/** What the model says, given the conversation so far and what is remembered from earlier ones. */
async function answer(sessionId, userId, said) {
  const prompt = await memory.memoryPrompt({
    query: said,
    session: { session_id: sessionId, user_id: userId, model_name: MODEL },
    long_term_search: { text: said, user_id: { eq: userId }, limit: 5 },
  });
  const remembered = prompt.messages.map((m) => ({ role: m.role, content: m.content.text }));
  const text = await complete([{ role: "system", content: INSTRUCTIONS }, ...remembered]);
  const turn = [
    { role: "user", content: said, created_at: new Date().toISOString() },
    { role: "assistant", content: text, created_at: new Date().toISOString() },
  ];
  await memory.appendMessagesToWorkingMemory(sessionId, turn, { userId });
  return text;
}

const userId = process.argv[2] ?? "maya";
const sessionId = `chat-${randomUUID()}`;
await memory.getOrCreateWorkingMemory(sessionId, { userId });
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) console.log(await answer(sessionId, userId, line.trim()));
}
