import { MemoryValidationError } from "./errors.js";
import type { NewMemoryRecord } from "./models.js";
import type { SearchOptions } from "./search.js";
import { isUlid } from "./ulid.js";

const MEMORY_TYPES = ["semantic", "episodic", "message"];

export function checkMemory(memory: NewMemoryRecord): void {
  if (!memory.text?.trim()) throw new MemoryValidationError("Memory text cannot be empty");
  if (memory.memory_type && !MEMORY_TYPES.includes(memory.memory_type)) {
    throw new MemoryValidationError(`Invalid memory type: ${memory.memory_type}`);
  }
  if (memory.id && !isUlid(memory.id)) throw new MemoryValidationError(`Not a ULID: ${memory.id}`);
}

export function checkSearch({ limit, offset, distanceThreshold }: SearchOptions): void {
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= 100)) {
    throw new MemoryValidationError("limit must be an integer from 1 to 100");
  }
  if (offset !== undefined && !(Number.isInteger(offset) && offset >= 0)) {
    throw new MemoryValidationError("offset must be an integer of at least 0");
  }
  if (distanceThreshold !== undefined && !(distanceThreshold >= 0)) {
    throw new MemoryValidationError("distanceThreshold must be a number of at least 0");
  }
}
