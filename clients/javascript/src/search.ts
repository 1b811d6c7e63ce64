import { tagFilter, type TagFilter, type TimeFilter } from "./filters.js";
import type { RecencyConfig, SearchRequest } from "./models.js";

export interface SearchOptions {
  /** What to look for; without it the memories are listed. */
  text?: string;
  searchMode?: "semantic" | "keyword" | "hybrid";
  hybridAlpha?: number;
  textScorer?: string;
  sessionId?: TagFilter;
  namespace?: TagFilter;
  userId?: TagFilter;
  topics?: TagFilter;
  entities?: TagFilter;
  extractionStrategy?: TagFilter;
  memoryType?: TagFilter;
  createdAt?: TimeFilter;
  lastAccessed?: TimeFilter;
  eventDate?: TimeFilter;
  distanceThreshold?: number;
  limit?: number;
  offset?: number;
  recency?: RecencyConfig;
  optimizeQuery?: boolean;
}

/** The body of a search; the default namespace bounds it unless it names one. */
export function searchRequest(options: SearchOptions, defaultNamespace?: string): object {
  const recency = options.recency ?? {};
  return {
    text: options.text,
    search_mode: options.searchMode,
    hybrid_alpha: options.hybridAlpha,
    text_scorer: options.textScorer,
    session_id: tagFilter(options.sessionId),
    namespace: tagFilter(options.namespace ?? defaultNamespace),
    user_id: tagFilter(options.userId),
    topics: tagFilter(options.topics),
    entities: tagFilter(options.entities),
    extraction_strategy: tagFilter(options.extractionStrategy),
    memory_type: tagFilter(options.memoryType),
    created_at: options.createdAt,
    last_accessed: options.lastAccessed,
    event_date: options.eventDate,
    distance_threshold: options.distanceThreshold,
    limit: options.limit,
    offset: options.offset,
    recency_boost: recency.recency_boost,
    recency_semantic_weight: recency.semantic_weight,
    recency_recency_weight: recency.recency_weight,
    recency_freshness_weight: recency.freshness_weight,
    recency_novelty_weight: recency.novelty_weight,
    recency_half_life_last_access_days: recency.half_life_last_access_days,
    recency_half_life_created_days: recency.half_life_created_days,
    server_side_recency: recency.server_side_recency,
  } satisfies { [name in keyof SearchRequest]: unknown };
}
