// One session: what was said, what became of it, how far the pipeline is.

import { call, link, scope, search, sessionPath } from "./api.js";
import { count, el, empty, ended, failure, field, number, pause, say, time, told } from "./dom.js";

export const TITLE = "Session";
const POLL_MS = 1000;

/** All memories that came from the session. */
async function memoriesOf(session, signal) {
  const filters = { session_id: { eq: session.session_id } };
  for (const name of ["namespace", "user_id"]) if (session[name]) filters[name] = { eq: session[name] };
  const found = [];
  for (let offset = 0; offset !== null;) {
    const page = await search({ ...filters, limit: 100, offset }, signal);
    found.push(...page.memories);
    offset = page.next_offset;
  }
  return found;
}

const became = (memories) => memories.length > 0 &&
  el("ul", { class: "became", "aria-label": "Memories from this message" }, memories.map((memory) =>
    el("li", {}, el("a", { class: "told", dir: "auto", href: link("memory", memory.id, memory) }, memory.text))));

function message(said, memories) {
  const done = said.discrete_memory_extracted === "t";
  return el("li", { class: `message ${said.role === "user" ? "user" : "other"}` },
    el("p", { class: "quiet" }, el("strong", {}, said.name || said.role), " · ", time(said.created_at), " · ",
      el("span", { class: done ? "done" : "waits" }, done ? "✓ looked at" : "… waits")),
    told(said.content), became(memories));
}

function conversation(session, memories) {
  const from = new Map();
  for (const memory of memories) {
    for (const id of memory.extracted_from) from.set(id, [...(from.get(id) || []), memory]);
  }
  const here = new Set(session.messages.map((said) => said.id));
  const rest = memories.filter((memory) => !memory.extracted_from.some((id) => here.has(id)));
  return [
    session.messages.length
      ? el("ol", { class: "plain" }, session.messages.map((said) => message(said, from.get(said.id) || [])))
      : empty("No messages", "The session is empty, or its messages were folded into the summary."),
    rest.length > 0 && el("section", {}, el("h3", {}, "Memories of messages that are no longer here"), became(rest)),
  ];
}

function state(session, memories) {
  const waiting = session.messages.filter((said) => said.discrete_memory_extracted !== "t").length +
    session.memories.filter((memory) => !memory.persisted_at).length;
  const words = waiting ? `${waiting} of ${session.messages.length + session.memories.length} wait for the pipeline` : "all looked at";
  return { waiting, line: `${count(session.messages.length, "message")}, ${words}, ${count(memories.length, "memory")}` };
}

const scoped = (session) => Object.fromEntries(["namespace", "user_id"].filter((n) => session[n]).map((n) => [n, session[n]]));

/** The steps of a task with state, start and duration; then what the run counted. */
function progress(task) {
  const steps = task.steps.map(({ step, state, started_at: started, seconds }) => el("li", { class: `step ${state}` },
    el("strong", {}, step), " ", el("span", {}, state), " ",
    el("span", { class: "quiet" }, seconds === null ? "" : `${number(seconds)} s`,
      started && [", ", el("time", { datetime: started, title: started }, new Date(started).toLocaleTimeString())])));
  const counts = Object.entries(task).filter(([, value]) => typeof value === "number");
  return el("section", { class: "card", "aria-label": "Pipeline" },
    el("p", {}, "Pipeline: ", el("strong", {}, task.status), task.started_at && [", ", time(task.started_at)]),
    task.error_message && el("p", { class: "failed", dir: "auto" }, task.error_message),
    el("ol", { class: "steps", "aria-label": "Steps" }, steps),
    counts.length > 0 && el("p", { class: "quiet" }, counts.map(([name, many]) => `${name.replaceAll("_", " ")}: ${many}`).join(" · ")));
}

/** The session's promotion, told until it has ended; null if there was none in the last days. */
async function latest(session, out, signal) {
  try {
    const task = await call("GET", "/v1/tasks", { query: { ...scoped(session), session_id: session.session_id }, signal });
    out.replaceChildren(progress(task));
    return task;
  } catch (error) {
    if (error.status !== 404 && !signal.aborted) out.replaceChildren(failure(error));
    return null;
  }
}

async function promote(session, out, signal) {
  try {
    const task = await call("POST", sessionPath(session.session_id, "/promote"), { body: scoped(session), signal });
    out.replaceChildren(progress(task));
  } catch (error) {
    if (!signal.aborted) out.replaceChildren(failure(error));
  }
}

async function sessions(root, signal) {
  const found = await call("GET", "/v1/working-memory", { query: { ...scope(), limit: 100 }, signal });
  if (found.sessions.length === 0) {
    root.append(empty("No sessions", "PUT one to /v1/working-memory/{id}, or choose another namespace or user at the top."));
    return;
  }
  root.append(el("p", { class: "quiet" }, `${count(found.total, "session")}, latest first`),
    el("ul", { class: "plain" }, found.sessions.map((id) =>
      el("li", {}, el("a", { dir: "auto", class: "told", href: link("session", id, scope()) }, id)))));
}

export async function show(root, { id, query, signal }) {
  const submitted = (event) => {
    event.preventDefault();
    const wanted = new FormData(event.target).get("id").trim();
    location.hash = wanted ? link("session", wanted, scope()) : "#/session";
  };
  root.append(el("h2", {}, "Session"), el("form", { class: "panel row", submit: submitted },
    field("Session id", el("input", { name: "id", value: id, spellcheck: "false", placeholder: "blank: list" })),
    el("button", { class: "main" }, "Open")));
  if (!id) return sessions(root, signal);
  const own = query.size ? Object.fromEntries(query) : scope();
  const [head, task, body] = [el("div", { class: "card" }), el("div", {}), el("div", {})];
  root.append(head, task, body);
  let before = "";
  while (!signal.aborted) {
    const session = await call("GET", sessionPath(id), { query: own, signal });
    const memories = await memoriesOf(session, signal);
    const { waiting, line } = state(session, memories);
    const running = await latest(session, task, signal);
    const now = JSON.stringify([session.updated_at, line, session.context]);
    if (now !== before) {
      before = now;
      head.replaceChildren(el("p", { class: "told" }, el("strong", { dir: "auto" }, session.session_id)), el("p", {}, line),
        el("button", { type: "button", disabled: !waiting, click: () => promote(session, task, signal) }, "Promote now"),
        session.context ? el("details", { open: true }, el("summary", {}, "Summary of earlier messages"), told(session.context)) : "");
      body.replaceChildren(...conversation(session, memories).filter(Boolean));
      say(line);
    }
    if (!waiting && (!running || ended(running))) return;
    await pause(POLL_MS, signal);
  }
}
