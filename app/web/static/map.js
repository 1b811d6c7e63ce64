// The topic map: memories near each other are about similar things.

import { call, link, scope } from "./api.js";
import { count, el, empty, ended, failure, field, pause, say, svg, time, told } from "./dom.js";

export const TITLE = "Topic map";
const COLOURS = 10; // as many as the style sheet has; rarer topics are grey
const MOST = 2000;
const POLL_MS = 1000;
const KEYS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** Topics by frequency, each with its class of colour. */
function palette(points) {
  const counts = new Map();
  for (const { topic } of points) counts.set(topic, (counts.get(topic) || 0) + 1);
  const ordered = [...counts].sort((a, b) => b[1] - a[1]);
  return new Map(ordered.map(([topic, many], place) =>
    [topic, { many, colour: topic !== null && place < COLOURS ? `c${place}` : "other" }]));
}

/** Starts a fit, follows it, and then shows the map anew. */
function fitting(again, signal) {
  const out = el("div", {});
  const tell = (text) => { say(text); out.replaceChildren(el("p", {}, text)); };
  const fit = async ({ currentTarget: button }) => {
    button.disabled = true;
    try {
      const { namespace } = scope();
      let [task] = (await call("POST", "/v1/topics/refit", { body: { namespace }, signal })).tasks;
      tell("The fit has started; it takes a minute. The map comes by itself.");
      while (!ended(task)) {
        await pause(POLL_MS, signal);
        if (signal.aborted) return;
        task = await call("GET", `/v1/tasks/${encodeURIComponent(task.id)}`, { signal });
      }
      if (task.status === "failed") throw new Error(task.error_message);
      await again();
    } catch (error) {
      if (!signal.aborted) out.replaceChildren(failure(error));
    } finally {
      button.disabled = false;
    }
  };
  return [el("button", { type: "button", click: fit }, "Fit topics now"), out];
}

/** Zoom and pan by changing the viewBox; returns the buttons' actions. */
function zoomable(picture) {
  const box = { x: -1.15, y: -1.15, size: 2.3 };
  const apply = () => {
    picture.setAttribute("viewBox", `${box.x} ${box.y} ${box.size} ${box.size}`);
    picture.style.setProperty("--dot", box.size / 2.3);
  };
  const zoom = (factor, x = box.x + box.size / 2, y = box.y + box.size / 2) => {
    const size = Math.min(4, Math.max(0.05, box.size * factor));
    box.x = x - ((x - box.x) * size) / box.size;
    box.y = y - ((y - box.y) * size) / box.size;
    box.size = size;
    apply();
  };
  const at = (event) => {
    const edge = picture.getBoundingClientRect();
    return [box.x + ((event.clientX - edge.left) / edge.width) * box.size,
      box.y + ((event.clientY - edge.top) / edge.height) * box.size];
  };
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, ...at(event));
  }, { passive: false });
  picture.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) return;
    const edge = picture.getBoundingClientRect();
    box.x -= (event.movementX / edge.width) * box.size;
    box.y -= (event.movementY / edge.height) * box.size;
    apply();
  });
  apply();
  return { closer: () => zoom(1 / 1.4), farther: () => zoom(1.4),
    whole: () => { Object.assign(box, { x: -1.15, y: -1.15, size: 2.3 }); apply(); } };
}

function draw(points) {
  const colours = palette(points);
  const ordered = [...points].sort((a, b) => a.created_at.localeCompare(b.created_at));
  const about = el("section", { class: "card about", "aria-live": "polite" },
    el("p", { class: "quiet" }, "Point at a dot, or focus the map and use the arrow keys; Enter opens the memory."));
  const picture = svg("svg", { class: "map", tabindex: "0", role: "img",
    "aria-label": `Map of ${count(points.length, "memory")} in ${count(colours.size, "topic")}` });
  const dots = ordered.map((point) => svg("circle", { cx: point.x, cy: -point.y, class: `dot ${colours.get(point.topic).colour}` }));
  picture.append(...dots);
  let chosen = -1;
  const open = (place) => { location.hash = link("memory", ordered[place].id, { ...scope(), user_id: ordered[place].user_id }); };
  const choose = (place) => {
    dots[chosen]?.classList.remove("chosen");
    chosen = place;
    dots[place].classList.add("chosen");
    const point = ordered[place];
    about.replaceChildren(told(point.text), el("p", { class: "quiet" }, point.topic || "no topic", " · ", time(point.created_at)),
      el("a", { href: link("memory", point.id, { ...scope(), user_id: point.user_id }) }, "Open"));
  };
  dots.forEach((dot, place) => {
    dot.addEventListener("pointerenter", (event) => event.buttons || choose(place));
    dot.addEventListener("click", () => open(place));
  });
  const visible = (place) => !dots[place].classList.contains("later") && !dots[place].classList.contains("faded");
  picture.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && chosen >= 0) open(chosen);
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    for (let n = 1, place = chosen; n <= dots.length; n++) {
      place = (place + step + dots.length) % dots.length;
      if (visible(place)) return choose(place);
    }
  });
  const only = (topic, button) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of legend.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(on));
    dots.forEach((dot, place) => dot.classList.toggle("faded", on && ordered[place].topic !== topic));
  };
  const legend = el("ul", { class: "legend", "aria-label": "Topics" }, [...colours].map(([topic, { many, colour }]) =>
    el("li", {}, el("button", { type: "button", "aria-pressed": "false", click: (event) => only(topic, event.currentTarget) },
      el("span", { class: `dot ${colour}`, "aria-hidden": "true" }), el("bdi", {}, topic || "no topic"), ` ${many}`))));
  const zoom = zoomable(picture);
  const controls = el("div", { class: "row" },
    el("button", { type: "button", click: zoom.closer, "aria-label": "Zoom in" }, "+"),
    el("button", { type: "button", click: zoom.farther, "aria-label": "Zoom out" }, "−"),
    el("button", { type: "button", click: zoom.whole }, "Whole map"), slider(ordered, dots));
  return [controls, el("div", { class: "split" }, picture, el("div", {}, about, legend))];
}

/** Shows the map as it was: only what had been made by then. */
function slider(ordered, dots) {
  const until = el("output", {}, time(ordered.at(-1).created_at));
  const moved = (event) => {
    const shown = Number(event.target.value);
    dots.forEach((dot, place) => dot.classList.toggle("later", place >= shown));
    until.replaceChildren(time(ordered[shown - 1].created_at));
  };
  return el("label", { class: "slider" }, "Made until ", el("input", { type: "range", min: "1", max: String(dots.length),
    value: String(dots.length), input: moved }), until);
}

export async function show(root, { signal }) {
  root.replaceChildren(el("h2", {}, "Topic map"));
  if (!scope().namespace) {
    root.append(empty("Which namespace?", "A map is made per namespace: name one at the top and press Apply."));
    return;
  }
  const map = await call("GET", "/v1/topics/map", { query: { ...scope(), limit: MOST }, signal });
  if (map.total === 0) {
    root.append(empty("Nothing to map", "This namespace and user have no memories yet."));
  } else if (map.points.length === 0) {
    root.append(empty(`${count(map.total, "memory")}, none on the map yet`,
      "Places come with the first fit of topics, which starts by itself once there are enough memories (TOPIC_MIN_MEMORIES)."), ...fitting(() => show(root, { signal }), signal));
  } else {
    root.append(el("p", { class: "quiet" }, `${map.points.length} of ${count(map.total, "memory")} have a place`), ...draw(map.points));
  }
}
