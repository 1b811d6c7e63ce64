import { checkMemory, checkSearch } from "./checks.js";
import { MemoryNotFoundError, MemoryServerError } from "./errors.js";
import type {
  AckResponse,
  AppendResponse,
  CreateResponse,
  CreateSummaryViewRequest,
  ForgetPolicy,
  ForgetResponse,
  HealthCheckResponse,
  MemoryMessage,
  MemoryPromptRequest,
  MemoryPromptResponse,
  MemoryRecord,
  MemoryRecordResult,
  MemoryRecordResults,
  MemoryRecordUpdate,
  MemoryStrategyConfig,
  NewMemoryRecord,
  SessionListResponse,
  SummaryView,
  SummaryViewPartitionResult,
  Task,
  WorkingMemory,
  WorkingMemoryResponse,
} from "./models.js";
import { searchRequest, type SearchOptions } from "./search.js";
import { sleep, Transport, type TransportConfig } from "./transport.js";
import { ulid } from "./ulid.js";

export interface MemoryClientConfig extends TransportConfig {
  /** The namespace of every call that names none. */
  defaultNamespace?: string;
  /** The model whose context window sessions are fitted to, unless a call says otherwise. */
  defaultModelName?: string;
  /** The context window in tokens, unless a call says otherwise. */
  defaultContextWindowMax?: number;
}

/** Whose memory. */
export interface Scope {
  namespace?: string;
  userId?: string;
}

export interface WindowOptions extends Scope {
  modelName?: string;
  contextWindowMax?: number;
}

const SESSIONS = "/v1/working-memory/";
const MEMORIES = "/v1/long-term-memory";
const VIEWS = "/v1/summary-views";
const UPDATE_ATTEMPTS = 10;

/** A client of the memory server. Every method is one request unless its description says otherwise. */
export class MemoryAPIClient {
  private readonly transport: Transport;

  constructor(private readonly config: MemoryClientConfig) {
    this.transport = new Transport(config);
  }

  async healthCheck(): Promise<HealthCheckResponse> {
    return this.get("/v1/health");
  }

  // -- working memory ------------------------------------------------------------------------------------------

  /** The ids of sessions, most recently updated first. */
  async listSessions(options: Scope & { limit?: number; offset?: number } = {}): Promise<SessionListResponse> {
    return this.get(SESSIONS, { ...this.scope(options), limit: options.limit, offset: options.offset });
  }

  /** The session, or null when there is none. */
  async getWorkingMemory(sessionId: string, options: WindowOptions = {}): Promise<WorkingMemoryResponse | null> {
    return (await this.read(sessionId, options))?.body ?? null;
  }

  /** The session, made empty when there is none (two requests then). */
  async getOrCreateWorkingMemory(
    sessionId: string,
    options: WindowOptions & { ttlSeconds?: number; longTermMemoryStrategy?: MemoryStrategyConfig } = {},
  ): Promise<WorkingMemoryResponse> {
    const found = await this.getWorkingMemory(sessionId, options);
    if (found) return found;
    const created: WorkingMemory = {
      user_id: options.userId,
      data: {},
      ttl_seconds: options.ttlSeconds,
      long_term_memory_strategy: options.longTermMemoryStrategy,
    };
    return this.putWorkingMemory(sessionId, created, options);
  }

  /** Replace a session as a whole. To change a part of one that others write too, use `updateWorkingMemory`. */
  async putWorkingMemory(
    sessionId: string,
    workingMemory: WorkingMemory,
    options: Omit<WindowOptions, "userId"> & { ifMatch?: string } = {},
  ): Promise<WorkingMemoryResponse> {
    const { body } = await this.transport.call<WorkingMemoryResponse>("PUT", SESSIONS + encodeURIComponent(sessionId), {
      query: this.window(options),
      body: { ...workingMemory, namespace: workingMemory.namespace ?? this.namespace(options) },
      headers: options.ifMatch === undefined ? {} : { "If-Match": options.ifMatch },
      // Done twice, a conditional PUT would be refused the second time.
      idempotent: options.ifMatch === undefined,
    });
    return body;
  }

  /**
   * Change a session so that no concurrent change of it is lost: read it (null when there is none), store what `change`
   * makes of it if nobody stored another meanwhile, and start again otherwise.
   */
  async updateWorkingMemory(
    sessionId: string,
    change: (session: WorkingMemoryResponse | null) => WorkingMemory | Promise<WorkingMemory>,
    options: Scope = {},
  ): Promise<WorkingMemoryResponse> {
    for (let attempt = 1; ; attempt++) {
      // Without the defaults for windows: a session cut to a window must not be written back.
      const found = await this.read(sessionId, options, {});
      const changed = await change(found?.body ?? null);
      const body = { ...changed, user_id: changed.user_id ?? options.userId };
      try {
        return await this.putWorkingMemory(sessionId, body, {
          namespace: options.namespace,
          ifMatch: found ? (found.etag ?? undefined) : '"0"',
        });
      } catch (error) {
        const lost = error instanceof MemoryServerError && error.statusCode === 412;
        if (!lost || attempt === UPDATE_ATTEMPTS) throw error;
        await sleep(Math.random() * 20 * attempt);
      }
    }
  }

  /** Add messages at the end of a session, made when there is none; any number of writers may do so at once. */
  async appendMessagesToWorkingMemory(
    sessionId: string,
    messages: MemoryMessage[],
    options: Scope = {},
  ): Promise<AppendResponse> {
    const path = `${SESSIONS}${encodeURIComponent(sessionId)}/messages`;
    return this.post(path, { messages, ...this.scope(options) }, { idempotent: false });
  }

  /** Set the session's data: key by key beside what is there, or instead of it. Two requests. */
  async setWorkingMemoryData(
    sessionId: string,
    data: Record<string, unknown>,
    options: Scope & { preserveExisting?: boolean } = {},
  ): Promise<WorkingMemoryResponse> {
    const keep = options.preserveExisting ?? true;
    return this.updateWorkingMemory(
      sessionId,
      (session) => ({ ...session, data: keep ? { ...session?.data, ...data } : data }),
      options,
    );
  }

  /** Add structured memories to a session, which become long-term memories in the background. Two requests. */
  async addMemoriesToWorkingMemory(
    sessionId: string,
    memories: NewMemoryRecord[],
    options: Scope & { replace?: boolean } = {},
  ): Promise<WorkingMemoryResponse> {
    const added = memories.map(withId);
    return this.updateWorkingMemory(
      sessionId,
      (session) => ({ data: {}, ...session, memories: [...(options.replace ? [] : (session?.memories ?? [])), ...added] }),
      options,
    );
  }

  async deleteWorkingMemory(sessionId: string, options: Scope = {}): Promise<AckResponse> {
    return this.call("DELETE", SESSIONS + encodeURIComponent(sessionId), { query: this.scope(options) });
  }

  // -- long-term memory ----------------------------------------------------------------------------------------

  /** Create memories; small batches are searchable when this returns, a large one names the task that indexes it. */
  async createLongTermMemory(
    memories: NewMemoryRecord[],
    options: { namespace?: string; deduplicate?: boolean } = {},
  ): Promise<CreateResponse> {
    const namespace = this.namespace(options);
    const records = memories.map((memory) => ({ ...withId(memory), namespace: memory.namespace ?? namespace }));
    return this.post(`${MEMORIES}/`, { memories: records, deduplicate: options.deduplicate });
  }

  /** Create many memories, a batch at a time. */
  async bulkCreateLongTermMemories(
    batches: NewMemoryRecord[][],
    options: { namespace?: string; deduplicate?: boolean; batchSize?: number; delayBetweenBatches?: number } = {},
  ): Promise<CreateResponse[]> {
    const { batchSize = 50, delayBetweenBatches = 0 } = options;
    const answers: CreateResponse[] = [];
    for (const batch of batches) {
      for (let start = 0; start < batch.length; start += batchSize) {
        if (answers.length > 0 && delayBetweenBatches > 0) await sleep(delayBetweenBatches);
        answers.push(await this.createLongTermMemory(batch.slice(start, start + batchSize), options));
      }
    }
    return answers;
  }

  /** Search by meaning, words or both; without text, list. The default namespace applies unless one is given. */
  async searchLongTermMemory(options: SearchOptions): Promise<MemoryRecordResults> {
    const call = { query: { optimize_query: options.optimizeQuery } };
    return this.post(`${MEMORIES}/search`, searchRequest(options, this.config.defaultNamespace), call);
  }

  /** All hits, page by page: a request whenever the page before has been used up. */
  async *searchAllLongTermMemories(
    options: Omit<SearchOptions, "limit" | "offset"> & { batchSize?: number },
  ): AsyncGenerator<MemoryRecordResult, void, undefined> {
    const { batchSize: limit = 50, ...search } = options;
    let offset: number | null = 0;
    while (offset !== null) {
      const page: MemoryRecordResults = await this.searchLongTermMemory({ ...search, limit, offset });
      yield* page.memories;
      offset = page.next_offset;
    }
  }

  /** The memory, or null when there is none. */
  async getLongTermMemory(memoryId: string, options: Scope = {}): Promise<MemoryRecord | null> {
    return orNull(this.get<MemoryRecord>(`${MEMORIES}/${encodeURIComponent(memoryId)}`, this.scope(options)));
  }

  async editLongTermMemory(
    memoryId: string,
    updates: MemoryRecordUpdate,
    options: Scope = {},
  ): Promise<MemoryRecord> {
    const call = { query: this.scope(options), body: updates };
    return this.call("PATCH", `${MEMORIES}/${encodeURIComponent(memoryId)}`, call);
  }

  /** Delete by id; unknown ids are ignored. */
  async deleteLongTermMemories(memoryIds: string[], options: Scope = {}): Promise<AckResponse> {
    return this.call("DELETE", MEMORIES, { query: { memory_ids: memoryIds, ...this.scope(options) } });
  }

  /** Delete old and unused memories; only says what it would delete unless `dryRun` is false. */
  async forgetLongTermMemories(
    options: Scope & {
      policy: ForgetPolicy;
      sessionId?: string;
      limit?: number;
      dryRun?: boolean;
      pinnedIds?: string[];
    },
  ): Promise<ForgetResponse> {
    const query = {
      ...this.scope(options),
      session_id: options.sessionId,
      limit: options.limit,
      dry_run: options.dryRun,
    };
    return this.post(`${MEMORIES}/forget`, { policy: options.policy, pinned_ids: options.pinnedIds }, { query });
  }

  /** Fold duplicates into one. */
  async compactLongTermMemories(options: Scope = {}): Promise<AckResponse> {
    return this.call("POST", `${MEMORIES}/compact`, { query: this.scope(options) });
  }

  /** Create long-term memories from a session's structured memories now: all, or those named. Two requests. */
  async promoteWorkingMemoriesToLongTerm(
    sessionId: string,
    memoryIds?: string[],
    options: Scope = {},
  ): Promise<CreateResponse> {
    const session = await this.getWorkingMemory(sessionId, options);
    const chosen = (session?.memories ?? []).filter((m) => !memoryIds || memoryIds.includes(m.id ?? ""));
    if (chosen.length === 0) return { status: "ok" };
    const inherited = { user_id: session?.user_id, namespace: session?.namespace };
    return this.createLongTermMemory(
      chosen.map((m) => ({
        ...m,
        user_id: m.user_id ?? inherited.user_id,
        namespace: m.namespace ?? inherited.namespace,
        session_id: m.session_id ?? sessionId,
      })),
    );
  }

  // -- prompts -------------------------------------------------------------------------------------------------

  /** The messages to answer with: summary, conversation, related memories, the query. */
  async memoryPrompt(
    request: MemoryPromptRequest,
    options: { optimizeQuery?: boolean } = {},
  ): Promise<MemoryPromptResponse> {
    const namespace = this.config.defaultNamespace;
    const { session, long_term_search: search } = request;
    const body: MemoryPromptRequest = {
      ...request,
      session: session && { ...session, namespace: session.namespace ?? namespace },
    };
    if (search && namespace !== undefined) {
      const given = search === true ? {} : search;
      body.long_term_search = { ...given, namespace: given.namespace ?? { eq: namespace } };
    }
    return this.post("/v1/memory/prompt", body, { query: { optimize_query: options.optimizeQuery } });
  }

  // -- summary views and tasks ---------------------------------------------------------------------------------

  async listSummaryViews(): Promise<SummaryView[]> {
    return this.get(VIEWS);
  }

  async createSummaryView(request: CreateSummaryViewRequest): Promise<SummaryView> {
    return this.post(VIEWS, request, { idempotent: false });
  }

  /** The view, or null when there is none. */
  async getSummaryView(viewId: string): Promise<SummaryView | null> {
    return orNull(this.get<SummaryView>(`${VIEWS}/${encodeURIComponent(viewId)}`));
  }

  async deleteSummaryView(viewId: string): Promise<AckResponse> {
    return this.call("DELETE", `${VIEWS}/${encodeURIComponent(viewId)}`);
  }

  /** Summarize one partition now. */
  async runSummaryViewPartition(viewId: string, group: Record<string, string>): Promise<SummaryViewPartitionResult> {
    return this.post(`${VIEWS}/${encodeURIComponent(viewId)}/partitions/run`, { group });
  }

  async listSummaryViewPartitions(
    viewId: string,
    options: Scope & { sessionId?: string; memoryType?: string } = {},
  ): Promise<SummaryViewPartitionResult[]> {
    // A view may span namespaces: the default one does not narrow it.
    return this.get(`${VIEWS}/${encodeURIComponent(viewId)}/partitions`, {
      namespace: options.namespace,
      user_id: options.userId,
      session_id: options.sessionId,
      memory_type: options.memoryType,
    });
  }

  /** Summarize all partitions in the background; see `waitForTask`. */
  async runSummaryView(viewId: string, options: { force?: boolean } = {}): Promise<Task> {
    const body = options.force === undefined ? {} : { force: options.force };
    return this.post(`${VIEWS}/${encodeURIComponent(viewId)}/run`, body, { idempotent: false });
  }

  /** The task, or null when there is none. */
  async getTask(taskId: string): Promise<Task | null> {
    return orNull(this.get<Task>(`/v1/tasks/${encodeURIComponent(taskId)}`));
  }

  /** Ask for a task until it has ended, in success or failure. */
  async waitForTask(taskId: string, options: { timeout?: number; every?: number } = {}): Promise<Task> {
    const { timeout = 60_000, every = 250 } = options;
    const deadline = Date.now() + timeout;
    for (;;) {
      const task = await this.getTask(taskId);
      if (task === null) throw new MemoryNotFoundError(`Task ${taskId} not found`);
      if (task.status === "success" || task.status === "failed") return task;
      if (Date.now() > deadline) throw new MemoryServerError(`Task ${taskId} is still ${task.status}`, 504);
      await sleep(every);
    }
  }

  // -- checks without a request --------------------------------------------------------------------------------

  /** Throw a MemoryValidationError when the server would refuse the memory, or its id is not a ULID. */
  validateMemoryRecord(memory: NewMemoryRecord): void {
    checkMemory(memory);
  }

  /** Throw a MemoryValidationError when the server would refuse the numbers of a search. */
  validateSearchFilters(options: SearchOptions): void {
    checkSearch(options);
  }

  // -- requests ------------------------------------------------------------------------------------------------

  private async call<T>(method: string, path: string, call: Parameters<Transport["call"]>[2] = {}): Promise<T> {
    return (await this.transport.call<T>(method, path, call)).body;
  }

  private get<T>(path: string, query: Query = {}): Promise<T> {
    return this.call("GET", path, { query });
  }

  private post<T>(path: string, body: unknown, more: { query?: Query; idempotent?: boolean } = {}): Promise<T> {
    return this.call("POST", path, { body, ...more });
  }

  private read(sessionId: string, scope: Scope, window: WindowOptions | null = null) {
    const query = { ...(window ? {} : this.window(scope)), ...this.scope(scope) };
    return orNull(
      this.transport.call<WorkingMemoryResponse>("GET", SESSIONS + encodeURIComponent(sessionId), { query }),
    );
  }

  private namespace(options: Scope): string | undefined {
    return options.namespace ?? this.config.defaultNamespace;
  }

  private scope(options: Scope): Query {
    return { namespace: this.namespace(options), user_id: options.userId };
  }

  private window(options: WindowOptions): Query {
    return {
      model_name: options.modelName ?? this.config.defaultModelName,
      context_window_max: options.contextWindowMax ?? this.config.defaultContextWindowMax,
    };
  }
}

type Query = NonNullable<NonNullable<Parameters<Transport["call"]>[2]>["query"]>;

function withId<T extends NewMemoryRecord>(memory: T): T & { id: string } {
  return { ...memory, id: memory.id || ulid() };
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof MemoryNotFoundError) return null;
    throw error;
  }
}
