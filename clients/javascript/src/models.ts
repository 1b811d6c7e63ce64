import type { components } from "./openapi.js";

type Schemas = components["schemas"];

export type HealthCheckResponse = Schemas["Health"];
export type AckResponse = Schemas["Ack"];
export type SessionListResponse = Schemas["SessionList"];
export type MemoryMessage = Schemas["Message"];
export type MemoryStrategyConfig = Schemas["Strategy"];
export type WorkingMemory = Schemas["WorkingMemoryUpdate"];
export type WorkingMemoryResponse = Schemas["WorkingMemory"];
export type AppendResponse = Schemas["Appended"];
/** A stored memory. */
export type MemoryRecord = Schemas["MemoryRecord"];
/** A memory to create; a missing id is filled in. */
export type NewMemoryRecord = Omit<Schemas["NewMemory"], "id"> & { id?: string };
export type MemoryRecordUpdate = Schemas["MemoryUpdate"];
export type CreateResponse = Schemas["Created"];
export type MemoryRecordResult = Schemas["MemoryResult"];
export type MemoryRecordResults = Schemas["SearchResults"];
export type SearchRequest = Schemas["SearchRequest"];
export type MemoryPromptRequest = Schemas["PromptRequest"];
export type MemoryPromptResponse = Schemas["Prompt"];
export type ForgetPolicy = Schemas["Policy"];
export type ForgetResponse = Schemas["ForgetReport"];
export type CreateSummaryViewRequest = Schemas["NewSummaryView"];
export type SummaryView = Schemas["SummaryView"];
export type SummaryViewPartitionResult = Schemas["Partition"];
export type Task = Schemas["Task"];

/** How much age counts in a search. */
export interface RecencyConfig {
  recency_boost?: boolean;
  semantic_weight?: number;
  recency_weight?: number;
  freshness_weight?: number;
  novelty_weight?: number;
  half_life_last_access_days?: number;
  half_life_created_days?: number;
  server_side_recency?: boolean;
}
