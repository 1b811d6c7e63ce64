// Building the page. All text goes in as text nodes: no memory can bring markup with it.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element; attributes that are functions listen to the event of their name. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** A time as people read it, with the exact one behind it. */
export function time(value) {
  if (!value) return "–";
  const moment = new Date(value);
  const shown = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return el("time", { datetime: value, title: value }, shown);
}

/** Types of memories as people call them. */
export const KINDS = { semantic: "fact", episodic: "event", message: "message" };

export const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

export const count = (value, noun) => `${value.toLocaleString()} ${value === 1 ? noun : noun.replace(/y$/, "ie") + "s"}`;

/** Little labels, as topics or entities. */
export const tags = (name, values) =>
  values.length > 0 &&
  el("p", { class: "tags" }, el("span", { class: "quiet" }, `${name}: `), values.map((v) => el("bdi", { class: "tag" }, v)));

/** Text of a stored thing: its own direction, its line breaks. */
export const told = (text, tag = "p") => el(tag, { class: "told", dir: "auto" }, text);

export const field = (label, control) => el("label", {}, `${label} `, control);

export const select = (name, options, chosen) =>
  el("select", { name }, options.map(([value, label]) => el("option", { value, selected: value === chosen }, label)));

export const empty = (title, ...advice) => el("section", { class: "empty" }, el("h3", {}, title), el("p", {}, advice));

/** What went wrong, and what to do about it. */
export const failure = (error) =>
  el("section", { class: "failure", role: "alert" }, el("h3", {}, error.title || "Something went wrong"),
    el("p", { dir: "auto" }, error.message), error.advice && el("p", {}, error.advice));

export function say(text) {
  document.getElementById("status").textContent = text;
}

export const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

export const ended = (task) => ["success", "failed"].includes(task.status);

/** Ask before what cannot simply be taken back. */
export function confirmed(question, yes) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = question;
  dialog.querySelector(".danger").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
