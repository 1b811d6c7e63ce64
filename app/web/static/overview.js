// The state of the whole: how much is remembered, about what, what waits, what models cost.

import { call, readiness, scope, scopeFilters, search } from "./api.js";
import { confirmed, el, failure, number, svg } from "./dom.js";

export const TITLE = "Overview";
const DAYS = 14;
const DAY_MS = 86_400_000;

const tile = (name, value, note) =>
  el("div", { class: "card tile" }, el("p", { class: "quiet" }, name), el("p", { class: "big" }, value), note && el("p", { class: "quiet" }, note));

async function total(created, signal) {
  return (await search({ ...scopeFilters(), ...(created && { created_at: created }), limit: 1 }, signal)).total;
}

async function overTime(signal) {
  const today = new Date(new Date().toISOString().slice(0, 10)).getTime();
  const days = Array.from({ length: DAYS }, (_, n) => today - (DAYS - 1 - n) * DAY_MS);
  const day = (moment) => new Date(moment).toISOString();
  const counts = await Promise.all(days.map((start) => total({ gte: day(start), lt: day(start + DAY_MS) }, signal)));
  const top = Math.max(1, ...counts);
  const bars = counts.map((many, n) => svg("rect", { x: n * 10 + 1, width: 8, y: 50 - (many / top) * 50, height: (many / top) * 50 }));
  const named = days.map((start) => day(start).slice(0, 10));
  return el("figure", { class: "card" }, el("figcaption", {}, `Memories made per day, last ${DAYS} days (UTC)`),
    svg("svg", { class: "chart", viewBox: `0 0 ${DAYS * 10} 50`, preserveAspectRatio: "none", "aria-hidden": "true" }, bars),
    el("p", { class: "row quiet spread" }, el("span", {}, named[0]), el("span", {}, `most on a day: ${top}`), el("span", {}, named.at(-1))),
    el("details", {}, el("summary", {}, "As a table"), table(["Day", "Memories"], named.map((name, n) => [name, counts[n]]))));
}

const table = (heads, rows) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads.join(", ") },
  el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", { dir: "auto" }, String(cell))))))));

async function ready(signal) {
  const report = await readiness(signal);
  const outbox = report.outbox;
  const wrong = Object.entries(report.checks).filter(([, state]) => state !== "ok").map(([name, state]) => `${name}: ${state}`);
  return [
    el("div", { class: "tiles" }, tile("Server", report.ready ? "ready" : "not ready", wrong.join("; ")),
      report.queue_depth !== undefined && tile("Queue depth", report.queue_depth.toLocaleString(), "tasks that wait for a worker"),
      outbox && tile("Sessions waiting", outbox.total, `${outbox.due} due, oldest for ${number(outbox.oldest_due_seconds, 0)} s`),
      outbox && tile("Given up", outbox.dead, outbox.dead ? "their tasks say why" : "none")),
    el("details", {}, el("summary", {}, "Models in use"),
      table(["What", "Model"], Object.entries(report.models).map(([name, model]) => [name, model || "off"]))),
  ];
}

async function remembered(signal) {
  const query = { ...scope(), limit: 10 };
  const [all, topics, entities, sessions] = await Promise.all([
    total(null, signal), call("GET", "/v1/topics", { query, signal }), call("GET", "/v1/entities", { query, signal }),
    call("GET", "/v1/working-memory", { query: { ...scope(), limit: 1 }, signal }),
  ]);
  return [
    el("div", { class: "tiles" }, tile("Memories", all.toLocaleString()), tile("Topics", topics.total), tile("Entities", entities.total),
      tile("Sessions", sessions.total.toLocaleString())),
    await overTime(signal),
    el("div", { class: "split even" }, table(["Topic", "Memories"], topics.topics.map((t) => [t.topic, t.count])),
      table(["Entity", "Kind", "Memories"], entities.entities.map((e) => [e.entity, e.type || "–", e.count]))),
  ];
}

const VERDICTS = {
  stored: ["New", "nothing like it was known"],
  same: ["Known already", "nothing was added"],
  merged: ["Merged", "made a known memory more exact"],
  updated: ["Superseded an older one", "the older stays in the history"],
  replaced: ["Replaced", "the same id was stored again"],
  deleted: ["Kept out", "the user deleted that fact"],
};

async function verdicts(signal) {
  const { verdicts: counts, total: all } = await call("GET", "/v1/usage/verdicts", { query: scope(), signal });
  const rows = Object.entries(VERDICTS).map(([name, [title, note]]) => [title, counts[name], note]);
  return [
    el("p", { class: "quiet" }, `${all.toLocaleString()} memories were to be stored`),
    table(["Verdict", "Memories", "Meaning"], rows),
  ];
}

async function usage(signal) {
  const { namespace } = scope();
  const { days, usage: rows, total: sum } = await call("GET", "/v1/usage", { query: namespace ? { namespace } : {}, signal });
  return [
    el("div", { class: "tiles" }, tile("Model calls", sum.calls.toLocaleString(), `${sum.failed_calls} failed, last ${days} days`),
      tile("Tokens", (sum.prompt_tokens + sum.completion_tokens).toLocaleString(), `${sum.prompt_tokens.toLocaleString()} in`),
      tile("Cost", `$${number(sum.cost_usd)}`, "of models with a known price")),
    rows.length > 0 && table(["Model", "Purpose", "Calls", "Tokens"],
      rows.map((row) => [row.model, row.purpose, row.calls, row.prompt_tokens + row.completion_tokens])),
  ];
}

/** Erasing a user cannot be undone: it is offered only for the one named at the top. */
function erase() {
  const { namespace, user_id: user } = scope();
  if (!user) return null;
  const out = el("div", {});
  const run = async () => {
    const where = namespace ? `namespace ${namespace}` : "the namespace without a name";
    if (!(await confirmed(`Erase all sessions, memories and history of user ${user} in ${where}? This cannot be undone.`, "Erase"))) return;
    try {
      const receipt = await call("DELETE", "/v1/user-data", { query: scope() });
      const rows = Object.entries(receipt.deleted).map(([what, many]) => [what.replaceAll("_", " "), many]);
      out.replaceChildren(el("p", { role: "status" }, receipt.verified ? "Erased, and verified. " : "Erased, but not verified. ",
        "Receipt ", el("code", {}, receipt.id)), table(["What", "Erased"], rows));
    } catch (error) {
      out.replaceChildren(failure(error));
    }
  };
  return el("section", { "aria-label": "Erase" }, el("h3", {}, "Erase"),
    el("button", { type: "button", class: "danger", click: run }, "Erase user ", el("bdi", {}, user)), out);
}

export async function show(root, { signal }) {
  root.append(el("h2", {}, "Overview"));
  const parts = [["Server", ready], ["What is remembered", remembered],
    ["What became of memories", verdicts], ["Language models", usage]];
  await Promise.all(parts.map(async ([title, part]) => {
    const section = el("section", { "aria-busy": "true", "aria-label": title }, el("h3", {}, title));
    root.append(section);
    try {
      section.append(...(await part(signal)).filter(Boolean));
    } catch (error) {
      if (!signal.aborted) section.append(failure(error));
    }
    section.removeAttribute("aria-busy");
  }));
  root.append(erase() || "");
}
