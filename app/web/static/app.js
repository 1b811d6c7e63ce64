// Chooses the view by the address behind `#`, and holds what all views share: scope, token, colours.

import { settings } from "./api.js";
import { el, failure, say } from "./dom.js";
import * as map from "./map.js";
import * as memory from "./memory.js";
import * as overview from "./overview.js";
import * as search from "./search.js";
import * as session from "./session.js";

const VIEWS = { search, memory, session, map, overview };
const main = document.getElementById("main");
const scope = document.getElementById("scope");
let running = new AbortController();

/** What the address holds; as it stands if somebody typed it without encoding (`100%`). */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `#/view/id?query` as its parts. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, id = ""] = path.split(/\/(.*)/s);
  return { view: view in VIEWS ? view : "search", id: decoded(id), query: new URLSearchParams(query) };
}

async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { view, id, query } = route();
  for (const link of document.querySelectorAll("#views a")) {
    if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  const root = el("div", { class: `view ${view}` });
  main.replaceChildren(root);
  document.title = `${VIEWS[view].TITLE} – Memory explorer`;
  try {
    await VIEWS[view].show(root, { id, query, signal });
  } catch (error) {
    if (!signal.aborted) root.append(failure(error));
  }
}

for (const name of ["namespace", "user", "token"]) scope.elements[name].value = settings.get(name);
scope.addEventListener("submit", (event) => {
  event.preventDefault();
  for (const name of ["namespace", "user", "token"]) settings.set(name, scope.elements[name].value.trim());
  show();
});

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

const theme = (name) => { document.documentElement.dataset.theme = name; };
if (settings.get("theme")) theme(settings.get("theme"));
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  settings.set("theme", dark ? "light" : "dark");
  theme(settings.get("theme"));
});

window.addEventListener("hashchange", show);
show();
