/** Anything that goes wrong in or behind this client. */
export class MemoryClientError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message);
    this.name = new.target.name;
    if (options?.cause !== undefined) Object.defineProperty(this, "cause", { value: options.cause });
  }
}

/** A value was refused before anything was sent. */
export class MemoryValidationError extends MemoryClientError {}

/** The server has no such session, memory, view or task. */
export class MemoryNotFoundError extends MemoryClientError {
  readonly statusCode = 404;
}

/** The server answered with an error; `detail` is what it said, as it said it. */
export class MemoryServerError extends MemoryClientError {
  constructor(
    message: string,
    readonly statusCode: number,
    readonly detail?: unknown,
  ) {
    super(message);
  }
}

interface Problem {
  loc?: (string | number)[];
  msg?: string;
}

/** The error that an answer stands for; a list of problems becomes one readable line. */
export function errorOf(status: number, text: string): MemoryClientError {
  let detail: unknown = text;
  try {
    const body = JSON.parse(text) as { detail?: unknown; message?: unknown };
    detail = body.detail ?? body.message ?? body;
  } catch {
    // Not JSON: a proxy's page, perhaps. Its text is what we know.
  }
  const message = describe(detail) || `HTTP ${status}`;
  return status === 404 ? new MemoryNotFoundError(message) : new MemoryServerError(message, status, detail);
}

function describe(detail: unknown): string {
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return JSON.stringify(detail);
  return (detail as Problem[]).map((p) => `${(p.loc ?? []).join(".")}: ${p.msg ?? JSON.stringify(p)}`).join("; ");
}
