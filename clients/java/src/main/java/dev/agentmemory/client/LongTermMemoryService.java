package dev.agentmemory.client;

import dev.agentmemory.client.model.AckResponse;
import dev.agentmemory.client.model.CreateResponse;
import dev.agentmemory.client.model.ForgetResponse;
import dev.agentmemory.client.model.MemoryRecord;
import dev.agentmemory.client.model.MemoryRecordResult;
import dev.agentmemory.client.model.MemoryRecordResults;
import dev.agentmemory.client.model.SearchRequest;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** Memories that outlive sessions. */
public final class LongTermMemoryService extends Service {
    private static final String MEMORIES = "/v1/long-term-memory";
    private static final int FORGET_LIMIT = 1000;

    LongTermMemoryService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    /** Create memories, folding what is known already; missing ids are filled in. */
    public CreateResponse createLongTermMemories(List<MemoryRecord> memories) {
        return createLongTermMemories(memories, true);
    }

    /** Create memories; small batches are searchable when this returns, a large one names the task that indexes it. */
    public CreateResponse createLongTermMemories(List<MemoryRecord> memories, boolean deduplicate) {
        List<MemoryRecord> records = new ArrayList<>();
        for (MemoryRecord memory : memories) {
            String id = memory.getId();
            records.add(MemoryRecord.builder(memory)
                    .id(id == null || id.isEmpty() ? Ulid.next() : id)
                    .namespace(namespace(memory.getNamespace()))
                    .build());
        }
        return transport.call("POST", MEMORIES + "/")
                .body(Map.of("memories", records, "deduplicate", deduplicate))
                .send(CreateResponse.class);
    }

    /** Create many memories, a batch at a time. */
    public List<CreateResponse> bulkCreateLongTermMemories(
            List<List<MemoryRecord>> batches, int batchSize, long delayBetweenBatchesMillis) {
        List<CreateResponse> answers = new ArrayList<>();
        for (List<MemoryRecord> batch : batches) {
            for (int start = 0; start < batch.size(); start += batchSize) {
                if (!answers.isEmpty() && delayBetweenBatchesMillis > 0) {
                    Transport.sleep(delayBetweenBatchesMillis);
                }
                answers.add(createLongTermMemories(batch.subList(start, Math.min(start + batchSize, batch.size()))));
            }
        }
        return answers;
    }

    /** Search by meaning in the default namespace. */
    public MemoryRecordResults searchLongTermMemories(String text) {
        return searchLongTermMemories(SearchRequest.builder().text(text).build());
    }

    /** Search by meaning, words or both; without text, list. The default namespace applies unless one is given. */
    public MemoryRecordResults searchLongTermMemories(SearchRequest request) {
        return transport.call("POST", MEMORIES + "/search")
                .body(inNamespace(request, defaults.namespace()))
                .send(MemoryRecordResults.class);
    }

    /** All hits, page by page: a request whenever the page before has been used up. */
    public Stream<MemoryRecordResult> searchAllLongTermMemories(SearchRequest request, int batchSize) {
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(new Pages(request, batchSize), 0), false);
    }

    /** The memory; MemoryNotFoundException when there is none. */
    public MemoryRecord getLongTermMemory(String memoryId) {
        return getLongTermMemory(memoryId, Scope.DEFAULT);
    }

    public MemoryRecord getLongTermMemory(String memoryId, Scope scope) {
        return scoped("GET", memory(memoryId), scope).send(MemoryRecord.class);
    }

    /** Change fields, named as on the wire: <code>Map.of("text", "…", "pinned", true)</code>. */
    public MemoryRecord editLongTermMemory(String memoryId, Map<String, Object> updates) {
        return editLongTermMemory(memoryId, updates, Scope.DEFAULT);
    }

    public MemoryRecord editLongTermMemory(String memoryId, Map<String, Object> updates, Scope scope) {
        return scoped("PATCH", memory(memoryId), scope).body(updates).send(MemoryRecord.class);
    }

    /** Delete by id; unknown ids are ignored. */
    public AckResponse deleteLongTermMemories(List<String> memoryIds) {
        return deleteLongTermMemories(memoryIds, Scope.DEFAULT);
    }

    public AckResponse deleteLongTermMemories(List<String> memoryIds, Scope scope) {
        Transport.Call call = scoped("DELETE", MEMORIES, scope);
        memoryIds.forEach(id -> call.query("memory_ids", id));
        return call.send(AckResponse.class);
    }

    /** Say what a policy would delete. */
    public ForgetResponse forgetLongTermMemories(Map<String, Object> policy) {
        return forgetLongTermMemories(policy, null, null, null, FORGET_LIMIT, true, null);
    }

    /** Delete old and unused memories by policy; with dryRun only say which. */
    public ForgetResponse forgetLongTermMemories(
            Map<String, Object> policy,
            String namespace,
            String userId,
            String sessionId,
            int limit,
            boolean dryRun,
            List<String> pinnedIds) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("policy", policy);
        if (pinnedIds != null) {
            body.put("pinned_ids", pinnedIds);
        }
        return scoped("POST", MEMORIES + "/forget", new Scope(namespace, userId))
                .query("session_id", sessionId)
                .query("limit", limit)
                .query("dry_run", dryRun)
                .body(body)
                .send(ForgetResponse.class);
    }

    /** Fold duplicates into one. */
    public AckResponse compactLongTermMemories(Scope scope) {
        return scoped("POST", MEMORIES + "/compact", scope).send(AckResponse.class);
    }

    static SearchRequest inNamespace(SearchRequest request, String namespace) {
        if (request == null || request.getNamespace() != null || namespace == null) {
            return request;
        }
        return SearchRequest.builder(request).namespace(namespace).build();
    }

    private static String memory(String memoryId) {
        return MEMORIES + "/" + Transport.encode(memoryId);
    }

    private final class Pages implements Iterator<MemoryRecordResult> {
        private final SearchRequest request;
        private final int batchSize;
        private Iterator<MemoryRecordResult> page = List.<MemoryRecordResult>of().iterator();
        private Integer offset = 0;

        Pages(SearchRequest request, int batchSize) {
            this.request = request;
            this.batchSize = batchSize;
        }

        @Override
        public boolean hasNext() {
            while (!page.hasNext() && offset != null) {
                MemoryRecordResults next = searchLongTermMemories(
                        SearchRequest.builder(request).limit(batchSize).offset(offset).build());
                page = next.getMemories().iterator();
                offset = next.getNextOffset();
            }
            return page.hasNext();
        }

        @Override
        public MemoryRecordResult next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return page.next();
        }
    }
}
