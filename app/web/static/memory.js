// One memory: what it says, where that comes from, what it was before; changing it.

import { call, link, memoryPath, scope } from "./api.js";
import { difference } from "./diff.js";
import { KINDS, confirmed, el, empty, failure, field, say, tags, time, told } from "./dom.js";

export const TITLE = "Memory";

function open(id) {
  const submitted = (event) => {
    event.preventDefault();
    const wanted = new FormData(event.target).get("id").trim();
    if (wanted) location.hash = link("memory", wanted, scope());
  };
  return el("form", { class: "panel row", submit: submitted },
    field("Memory id", el("input", { name: "id", value: id, spellcheck: "false", required: true })),
    el("button", { class: "main" }, "Open"));
}

function facts(memory) {
  const rows = [
    ["Id", el("code", {}, memory.id)], ["Type", KINDS[memory.memory_type] || memory.memory_type], ["Namespace", memory.namespace || "none"],
    ["User", memory.user_id || "none"], ["Made", time(memory.created_at)], ["Changed", time(memory.updated_at)],
    ["Last used", time(memory.last_accessed)], ["Happened", memory.event_date && time(memory.event_date)],
    ["True until", memory.valid_to && time(memory.valid_to)],
    ["Replaced by", memory.superseded_by && el("a", { href: link("memory", memory.superseded_by, memory) }, memory.superseded_by)],
    ["Session", memory.session_id && el("a", { href: link("session", memory.session_id, memory) }, memory.session_id)],
  ];
  return el("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value))));
}

function provenance(history, memory) {
  const quote = memory?.metadata?.quote;
  const messages = history.sources.flatMap((source) => source.messages.map((message) =>
    el("li", { class: "message" },
      el("a", { href: `${link("session", source.session_id, memory || scope())}` }, `${message.role}, `, time(message.created_at)),
      told(message.content, "blockquote"))));
  const missing = history.sources.flatMap((source) => {
    const there = new Set(source.messages.map((message) => message.id));
    return source.message_ids.filter((id) => !there.has(id));
  });
  return el("section", { "aria-label": "Where it comes from" }, el("h3", {}, "Where it comes from"),
    quote && el("figure", {}, told(`“${quote}”`, "blockquote"), el("figcaption", { class: "quiet" }, "the words it rests on")),
    messages.length > 0 && el("ul", { class: "plain" }, messages),
    missing.length > 0 && el("p", { class: "quiet" }, `${missing.length} source message(s) are no longer kept: `,
      missing.map((id) => [el("code", {}, id), " "])),
    !quote && !messages.length && !missing.length &&
      el("p", { class: "quiet" }, "It was created through the API; no messages are behind it."));
}

function timeline(history) {
  const states = [...history.versions.map((version) => version.memory), history.current];
  const entries = history.versions.map((version, place) => {
    const before = version.memory?.text || "";
    const after = states.slice(place + 1).find(Boolean)?.text;
    return el("li", {},
      el("p", {}, el("strong", {}, version.kind), " by ", version.actor || "unknown", ", ", time(version.at)),
      version.reason && el("p", { class: "quiet", dir: "auto" }, version.reason),
      before && after !== undefined && before !== after ? difference(before, after) : before && told(before),
      version.replaced_by && el("p", {}, "by ", el("a", { href: link("memory", version.replaced_by, version.memory || {}) }, version.replaced_by)));
  });
  return el("section", { "aria-label": "History" }, el("h3", {}, "History"),
    entries.length ? el("ol", { class: "timeline" }, entries) : el("p", { class: "quiet" }, "It was never changed."),
    history.supersedes.length > 0 && [el("h4", {}, "It replaced"),
      el("ul", {}, history.supersedes.map((old) =>
        el("li", {}, el("a", { class: "told", dir: "auto", href: link("memory", old.id, old) }, old.text))))]);
}

/** Buttons and the edit form; each action is one call, then the view is read anew. */
function actions(memory, query, again) {
  const out = el("div", {});
  const path = (rest) => memoryPath(memory.id, rest);
  const act = async (done, ...request) => {
    out.replaceChildren();
    try {
      await call(...request);
      await again();
      say(done);
    } catch (error) {
      out.replaceChildren(failure(error));
    }
  };
  const submitted = (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const body = { text: given.get("text") };
    for (const name of ["topics", "entities"]) {
      body[name] = given.get(name).split(",").map((part) => part.trim()).filter(Boolean);
      if (body[name].join() === memory[name].join()) delete body[name];
    }
    if (body.text === memory.text) delete body.text;
    act("Saved", "PATCH", path(), { query, body });
  };
  const remove = async () => {
    if (await confirmed("Delete this memory? Searches will no longer find it; Restore brings it back.", "Delete")) {
      act("Deleted", "DELETE", "/v1/long-term-memory", { query: { ...query, memory_ids: memory.id } });
    }
  };
  const restore = async () => {
    if (await confirmed("Undo the last change of this memory?", "Restore")) act("Restored", "POST", path("/restore"), { query });
  };
  return { out, restore, remove, submitted,
    pin: () => act(memory.pinned ? "Unpinned" : "Pinned", "PATCH", path(), { query, body: { pinned: !memory.pinned } }) };
}

function editor(memory, on) {
  const form = el("form", { class: "panel", hidden: true, submit: on.submitted, "aria-label": "Edit" },
    field("Text", el("textarea", { name: "text", rows: "4", required: true, dir: "auto", value: memory.text })),
    field("Topics", el("input", { name: "topics", value: memory.topics.join(", ") })),
    field("Entities", el("input", { name: "entities", value: memory.entities.join(", ") })),
    el("div", { class: "row" }, el("button", { class: "main" }, "Save"),
      el("button", { type: "button", click: () => { form.hidden = true; } }, "Cancel")));
  return form;
}

function card(history, memory, query, again) {
  if (!memory) {
    const last = history.versions.map((version) => version.memory).filter(Boolean).at(-1);
    const on = actions(last || { id: history.memory_id, topics: [], entities: [] }, query, again);
    return el("section", { class: "card" }, el("h3", {}, "This memory is deleted"), last && told(last.text),
      el("button", { type: "button", click: on.restore }, "Restore"), on.out);
  }
  const on = actions(memory, query, again);
  const form = editor(memory, on);
  const edit = () => { form.hidden = !form.hidden; if (!form.hidden) form.elements.text.focus(); };
  return el("section", { class: "card" }, told(memory.text), tags("Topics", memory.topics), tags("Entities", memory.entities),
    el("div", { class: "row" },
      el("button", { type: "button", click: on.pin }, memory.pinned ? "Unpin" : "Pin"),
      el("button", { type: "button", click: edit }, "Edit"),
      history.versions.length > 0 && el("button", { type: "button", click: on.restore }, "Undo last change"),
      el("button", { type: "button", class: "danger", click: on.remove }, "Delete")),
    on.out, form, facts(memory));
}

export async function show(root, { id, query, signal }) {
  root.append(el("h2", {}, "Memory"), open(id));
  if (!id) {
    root.append(empty("No memory chosen", "Paste an id above, or open a hit of a ", el("a", { href: "#/search" }, "search"), "."));
    return;
  }
  const own = query.size ? Object.fromEntries(query) : scope();
  const body = el("div", {});
  root.append(body);
  const again = async () => {
    const history = await call("GET", memoryPath(id, "/history"), { query: own, signal });
    body.replaceChildren(card(history, history.current, own, again), provenance(history, history.current), timeline(history));
  };
  await again();
}
