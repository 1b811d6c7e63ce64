export { MemoryAPIClient } from "./client.js";
export type { MemoryClientConfig, Scope, WindowOptions } from "./client.js";
export { MemoryClientError, MemoryNotFoundError, MemoryServerError, MemoryValidationError } from "./errors.js";
export {
  CreatedAt,
  Entities,
  EventDate,
  ExtractionStrategy,
  LastAccessed,
  MemoryType,
  Namespace,
  SessionId,
  Topics,
  UserId,
} from "./filters.js";
export type { TagConditions, TagFilter, TimeConditions, TimeFilter } from "./filters.js";
export type * from "./models.js";
export type { SearchOptions } from "./search.js";
export { VERSION } from "./transport.js";
export { ulid } from "./ulid.js";
