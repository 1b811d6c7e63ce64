import { errorOf, MemoryClientError } from "./errors.js";

export const VERSION = "0.1.0";

export interface TransportConfig {
  /** Where the server is, e.g. `http://localhost:8000`; a path in it is kept. */
  baseUrl: string;
  /** Milliseconds that one attempt may take; 30000 unless given. */
  timeout?: number;
  /** Sent as `X-API-Key`. */
  apiKey?: string;
  /** Sent as `Authorization: Bearer …`. */
  bearerToken?: string;
  /** How often a request is tried again when the server or the network is away; 2 unless given. */
  retries?: number;
  /** Milliseconds before the first retry; doubled for each further one, plus chance. 200 unless given. */
  retryDelay?: number;
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch;
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

export interface Call {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  /** Whether doing it twice is the same as doing it once. Otherwise a request whose answer got lost is not repeated. */
  idempotent?: boolean;
}

export interface Answer<T> {
  body: T;
  etag: string | null;
}

// 429, 502-504: nothing was done, or (502, 504) a gateway does not know. 503 is the server's own "nothing was changed".
const NOTHING_DONE = new Set([429, 503]);
const PERHAPS_DONE = new Set([502, 504]);
const LONGEST_DELAY = 30_000;

/** Sends requests: authentication, timeouts, retries, errors. */
export class Transport {
  private readonly base: string;
  private readonly timeout: number;
  private readonly retries: number;
  private readonly retryDelay: number;
  private readonly send: typeof fetch;
  private readonly headers: Record<string, string>;

  constructor(config: TransportConfig) {
    this.base = config.baseUrl.replace(/\/+$/, "");
    this.timeout = config.timeout ?? 30_000;
    this.retries = config.retries ?? 2;
    this.retryDelay = config.retryDelay ?? 200;
    this.send = config.fetch ?? ((input, init) => fetch(input, init));
    this.headers = {
      Accept: "application/json",
      "User-Agent": `agent-memory-platform-js/${VERSION}`,
      "X-Client-Version": VERSION,
      ...(config.apiKey ? { "X-API-Key": config.apiKey } : {}),
      ...(config.bearerToken ? { Authorization: `Bearer ${config.bearerToken}` } : {}),
    };
  }

  async call<T>(method: string, path: string, call: Call = {}): Promise<Answer<T>> {
    const idempotent = call.idempotent ?? true;
    for (let attempt = 0; ; attempt++) {
      const last = attempt >= this.retries;
      let answer: Received;
      try {
        answer = await this.attempt(method, path, call);
      } catch (error) {
        if (last || !idempotent) throw error;
        await sleep(this.delay(attempt));
        continue;
      }
      if (answer.ok) return { body: parse<T>(answer), etag: answer.etag };
      if (last || !(NOTHING_DONE.has(answer.status) || (idempotent && PERHAPS_DONE.has(answer.status)))) {
        throw errorOf(answer.status, answer.text);
      }
      await sleep(this.delay(attempt, answer.retryAfter));
    }
  }

  private async attempt(method: string, path: string, call: Call): Promise<Received> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.timeout);
    try {
      const response = await this.send(this.base + path + encode(call.query), {
        method,
        headers: {
          ...this.headers,
          ...(call.body === undefined ? {} : { "Content-Type": "application/json" }),
          ...call.headers,
        },
        body: call.body === undefined ? undefined : JSON.stringify(call.body),
        signal: abort.signal,
      });
      return {
        ok: response.ok,
        status: response.status,
        text: await response.text(),
        etag: response.headers.get("ETag"),
        retryAfter: response.headers.get("Retry-After"),
      };
    } catch (cause) {
      if (abort.signal.aborted) throw new MemoryClientError(`Request timeout after ${this.timeout} ms`, { cause });
      throw new MemoryClientError(`Request failed: ${reason(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  private delay(attempt: number, retryAfter: string | null = null): number {
    const seconds = Number(retryAfter ?? NaN);
    if (seconds >= 0) return Math.min(seconds * 1000, LONGEST_DELAY);
    return Math.min(this.retryDelay * 2 ** attempt * (0.5 + Math.random()), LONGEST_DELAY);
  }
}

interface Received {
  ok: boolean;
  status: number;
  text: string;
  etag: string | null;
  retryAfter: string | null;
}

function parse<T>(answer: Received): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch (cause) {
    throw new MemoryClientError(`The answer is not JSON: ${answer.text.slice(0, 200)}`, { cause });
  }
}

function encode(query: Query = {}): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? value : [value]) pairs.append(name, String(one));
  }
  const encoded = pairs.toString();
  return encoded ? `?${encoded}` : "";
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's fetch says "fetch failed" and keeps the reason as the cause.
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  return cause ? `${error.message} (${cause.code ?? cause.message})` : error.message;
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
