// The public API, and nothing else: scope, token, errors with advice.

const ROOT = document.documentElement.dataset.root;
const ADVICE = {
  401: ["A token is needed", "Paste one into the Token field at the top and press Apply. It is kept in this tab only."],
  403: ["This token may not do that", "Use a token whose namespace, user and permissions cover it, or change the scope at the top."],
  404: ["Not found", "Check the id, and the namespace and user at the top: they limit what is looked at."],
  409: ["Not possible as it is", "If several tenants share the id, name the namespace and the user at the top."],
  429: ["Too many requests", "Wait a few seconds, then try again."],
  503: ["A part of the server is away", "Nothing was changed. Try again in a moment; /readyz says which part is missing."],
};

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
    [this.title, this.advice] = ADVICE[status] || [`The server answered ${status}`, null];
  }
}

const kept = (name) => sessionStorage.getItem(`explorer.${name}`) || "";
export const settings = {
  get: kept,
  set: (name, value) => sessionStorage.setItem(`explorer.${name}`, value),
};

/** The scope at the top, as query parameters; what is empty is left open. */
export function scope() {
  const given = { namespace: kept("namespace"), user_id: kept("user") };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value));
}

/** The scope at the top, as filters of a search. */
export const scopeFilters = () =>
  Object.fromEntries(Object.entries(scope()).map(([name, value]) => [name, { eq: value }]));

function reason(body, status) {
  const detail = body?.detail;
  if (Array.isArray(detail)) return detail.map((p) => `${p.loc.slice(1).join(".")}: ${p.msg}`).join("; ");
  return detail || `HTTP ${status}`;
}

async function send(method, path, { query = {}, body, signal } = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) parameters.append(name, one);
  }
  const headers = {};
  if (kept("token")) headers.Authorization = `Bearer ${kept("token")}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    const url = `${ROOT}${path}${parameters.size ? `?${parameters}` : ""}`;
    return await fetch(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const away = new ApiError(0, "The server cannot be reached.");
    away.title = "No answer";
    away.advice = "Check that it runs and that you are connected, then try again.";
    throw away;
  }
}

/** Call a route; throws ApiError unless it succeeds. */
export async function call(method, path, options) {
  const answer = await send(method, path, options);
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, reason(body, answer.status));
  return body;
}

/** The readiness report: a server that is not ready tells as much. */
export async function readiness(signal) {
  const answer = await send("GET", "/readyz", { signal });
  return answer.json();
}

/** A search that only looks: `explain` leaves the times of last access alone. */
export const search = (request, signal) =>
  call("POST", "/v1/long-term-memory/search", { body: { ...request, explain: true }, signal });

export const memoryPath = (id, rest = "") => `/v1/long-term-memory/${encodeURIComponent(id)}${rest}`;

export const sessionPath = (id, rest = "") => `/v1/working-memory/${encodeURIComponent(id)}${rest}`;

/** The address of a view of a memory or session, with its own scope. */
export function link(view, id, { namespace, user_id } = {}) {
  const query = new URLSearchParams();
  if (namespace) query.set("namespace", namespace);
  if (user_id) query.set("user_id", user_id);
  return `#/${view}/${encodeURIComponent(id)}${query.size ? `?${query}` : ""}`;
}
