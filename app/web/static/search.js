// Search: what is found, in which order, and why.

import { link, scope, scopeFilters, search } from "./api.js";
import { KINDS, count, el, empty, failure, field, number, say, select, tags, time } from "./dom.js";

export const TITLE = "Search";
const MODES = [["hybrid", "both"], ["semantic", "by meaning"], ["keyword", "by words"]];
const TYPES = [["", "any"], ...Object.entries(KINDS)];
const PARTS = [
  ["semantic", "meaning"], ["keyword", "words"], ["boosts", "boosts"],
  ["freshness", "last use"], ["novelty", "newness"], ["exact_match", "same text"],
];
const PAGE = 20;

const list = (value) => value.split(",").map((part) => part.trim()).filter(Boolean);

function request(query) {
  const body = { ...scopeFilters(), text: query.get("text") || "", search_mode: query.get("mode") || "hybrid" };
  body.limit = PAGE;
  body.offset = Number(query.get("offset")) || 0;
  for (const name of ["topics", "entities"]) if (query.get(name)) body[name] = { any: list(query.get(name)) };
  if (query.get("type")) body.memory_type = { eq: query.get("type") };
  const created = {};
  if (query.get("after")) created.gte = query.get("after");
  if (query.get("before")) created.lt = query.get("before");
  if (Object.keys(created).length) body.created_at = created;
  if (query.get("why")) body.why = query.get("why").trim();
  return body;
}

/** The parts of a score as one bar, and in words. */
function breakdown(parts) {
  if (!parts) return null;
  const shown = PARTS.filter(([name]) => Math.abs(parts[name]) >= 0.005);
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  for (const [name] of shown) {
    const part = el("span", { class: `part ${name}` });
    part.style.width = `${Math.max(0, parts[name]) * 100}%`;
    bar.append(part);
  }
  const words = shown.map(([name, label]) =>
    el("li", {}, el("span", { class: `dot ${name}`, "aria-hidden": "true" }), `${label} ${number(parts[name])}`));
  return el("div", { class: "breakdown" }, bar,
    el("ul", { "aria-label": "Parts of the score" }, el("li", { class: "sum" }, `score ${number(parts.final)}`), words));
}

function hit(memory, rank) {
  const facts = [KINDS[memory.memory_type], memory.user_id && `user ${memory.user_id}`, memory.pinned && "pinned"];
  return el("li", { class: "card hit" },
    el("div", { class: "row" }, el("span", { class: "rank" }, `${rank}`),
      el("a", { class: "told", dir: "auto", href: link("memory", memory.id, memory) }, memory.text)),
    breakdown(memory.explanation),
    tags("Topics", memory.topics), tags("Entities", memory.entities),
    el("p", { class: "quiet" }, facts.filter(Boolean).join(" · "), " · made ", time(memory.created_at),
      memory.event_date && [" · about ", time(memory.event_date)]));
}

function whyNot(why) {
  return el("section", { class: "card why", "aria-label": "Why not" },
    el("h3", {}, why.rank ? `Rank ${why.rank}` : "No rank"),
    el("p", { dir: "auto" }, why.reason), breakdown(why.explanation));
}

function form(query) {
  const value = (name) => query.get(name) || "";
  const submitted = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, text]) => text.trim());
    location.hash = `#/search?${new URLSearchParams(given)}`;
  };
  const more = ["topics", "entities", "type", "after", "before", "why"].some((name) => query.get(name));
  return el("form", { class: "panel", submit: submitted, role: "search" },
    el("div", { class: "row" },
      field("Query", el("input", { name: "text", type: "search", value: value("text"), placeholder: "blank: list all" })),
      field("Mode", select("mode", MODES, query.get("mode") || "hybrid")), el("button", { class: "main" }, "Search")),
    el("details", { open: more }, el("summary", {}, "Filters and “why not?”"),
      el("div", { class: "row" },
        field("Topics", el("input", { name: "topics", value: value("topics"), placeholder: "any of, comma" })),
        field("Entities", el("input", { name: "entities", value: value("entities"), placeholder: "any of, comma" })),
        field("Type", select("type", TYPES, value("type"))),
        field("Made from", el("input", { name: "after", type: "date", value: value("after") })),
        field("Made before", el("input", { name: "before", type: "date", value: value("before") })),
        field("Why not this memory? (id)", el("input", { name: "why", value: value("why"), spellcheck: "false" })))));
}

function pages(query, found) {
  const at = Number(query.get("offset")) || 0;
  const to = (offset) => {
    const next = new URLSearchParams(query);
    next.set("offset", offset);
    return `#/search?${next}`;
  };
  return el("nav", { class: "row", "aria-label": "Pages" },
    at > 0 && el("a", { href: to(Math.max(0, at - PAGE)) }, "← Previous"),
    found.next_offset !== null && el("a", { href: to(found.next_offset) }, "Next →"));
}

export async function show(root, { query, signal }) {
  const results = el("section", { "aria-busy": "true" });
  root.append(el("h2", {}, "Search"), form(query), results);
  try {
    const found = await search(request(query), signal);
    say(count(found.total, "memory") + " found");
    results.append(found.why ? whyNot(found.why) : "");
    if (found.memories.length === 0) {
      results.append(empty("Nothing found", Object.keys(scope()).length
        ? "Try fewer filters, other words, or another namespace or user at the top."
        : "Nothing is remembered yet, or the filters leave nothing. PUT a session or create memories through the API."));
      return;
    }
    const first = (Number(query.get("offset")) || 0) + 1;
    results.append(el("p", { class: "quiet" }, count(found.total, "memory")),
      el("ol", { class: "plain" }, found.memories.map((memory, place) => hit(memory, first + place))), pages(query, found));
  } catch (error) {
    if (!signal.aborted) results.append(failure(error));
  } finally {
    results.removeAttribute("aria-busy");
  }
}
