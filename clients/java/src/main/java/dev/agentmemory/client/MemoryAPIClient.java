package dev.agentmemory.client;

import dev.agentmemory.client.model.CreateResponse;
import dev.agentmemory.client.model.MemoryRecord;
import dev.agentmemory.client.model.WorkingMemoryResponse;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A client of the memory server; thread-safe, to be made once and shared. */
public final class MemoryAPIClient implements AutoCloseable {
    private final HealthService health;
    private final WorkingMemoryService workingMemory;
    private final LongTermMemoryService longTermMemory;
    private final MemoryHydrationService hydration;
    private final SummaryViewService summaryViews;
    private final TaskService tasks;

    private MemoryAPIClient(Builder builder) {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("Accept", "application/json");
        headers.put("User-Agent", "agent-memory-platform-java/" + Transport.VERSION);
        headers.put("X-Client-Version", Transport.VERSION);
        if (builder.apiKey != null) {
            headers.put("X-API-Key", builder.apiKey);
        }
        if (builder.bearerToken != null) {
            headers.put("Authorization", "Bearer " + builder.bearerToken);
        }
        HttpClient http = builder.httpClient != null
                ? builder.httpClient
                : HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(builder.timeout).build();
        Transport transport = new Transport(
                http, builder.baseUrl, builder.timeout, builder.retries, builder.retryDelay, headers);
        Service.Defaults defaults = new Service.Defaults(
                builder.defaultNamespace, builder.defaultModelName, builder.defaultContextWindowMax);
        health = new HealthService(transport, defaults);
        workingMemory = new WorkingMemoryService(transport, defaults);
        longTermMemory = new LongTermMemoryService(transport, defaults);
        hydration = new MemoryHydrationService(transport, defaults);
        summaryViews = new SummaryViewService(transport, defaults);
        tasks = new TaskService(transport, defaults);
    }

    public static Builder builder(String baseUrl) {
        return new Builder(baseUrl);
    }

    public HealthService health() {
        return health;
    }

    public WorkingMemoryService workingMemory() {
        return workingMemory;
    }

    public LongTermMemoryService longTermMemory() {
        return longTermMemory;
    }

    public MemoryHydrationService hydration() {
        return hydration;
    }

    public SummaryViewService summaryViews() {
        return summaryViews;
    }

    public TaskService tasks() {
        return tasks;
    }

    /** Create long-term memories from all structured memories of a session now. */
    public CreateResponse promoteWorkingMemoriesToLongTerm(String sessionId) {
        return promoteWorkingMemoriesToLongTerm(sessionId, null, Scope.DEFAULT);
    }

    /** Create long-term memories from those structured memories of a session that are named; null names all. */
    public CreateResponse promoteWorkingMemoriesToLongTerm(String sessionId, List<String> memoryIds, Scope scope) {
        WorkingMemoryResponse session = workingMemory.getOrCreateWorkingMemory(sessionId, scope).memory();
        List<MemoryRecord> chosen = new ArrayList<>();
        for (MemoryRecord memory : session.getMemories()) {
            if (memoryIds == null || memoryIds.contains(memory.getId())) {
                chosen.add(MemoryRecord.builder(memory)
                        .userId(memory.getUserId() != null ? memory.getUserId() : session.getUserId())
                        .namespace(memory.getNamespace() != null ? memory.getNamespace() : session.getNamespace())
                        .sessionId(memory.getSessionId() != null ? memory.getSessionId() : sessionId)
                        .build());
            }
        }
        return longTermMemory.createLongTermMemories(chosen);
    }

    /** Throw a MemoryValidationException when the server would refuse the memory, or its id is not a ULID. */
    public void validateMemoryRecord(MemoryRecord memory) {
        if (memory.getText() == null || memory.getText().isBlank()) {
            throw new MemoryValidationException("Memory text cannot be empty");
        }
        String id = memory.getId();
        if (id != null && !id.isEmpty() && !Ulid.matches(id)) {
            throw new MemoryValidationException("Not a ULID: " + id);
        }
    }

    /** Nothing to close: <code>java.net.http</code> ends its threads by itself. Here for try-with-resources. */
    @Override
    public void close() {}

    /** Settings of a client. */
    public static final class Builder {
        private final String baseUrl;
        private Duration timeout = Duration.ofSeconds(30);
        private int retries = 2;
        private Duration retryDelay = Duration.ofMillis(200);
        private String defaultNamespace;
        private String defaultModelName;
        private Integer defaultContextWindowMax;
        private String apiKey;
        private String bearerToken;
        private HttpClient httpClient;

        private Builder(String baseUrl) {
            this.baseUrl = baseUrl;
        }

        /** Seconds that one attempt may take; 30 unless set. */
        public Builder timeout(double seconds) {
            timeout = Duration.ofMillis(Math.round(seconds * 1000));
            return this;
        }

        /** How often a request is tried again when the server or the network is away; 2 unless set. */
        public Builder retries(int count) {
            retries = count;
            return this;
        }

        /** The pause before the first retry, doubled for each further one; 200 ms unless set. */
        public Builder retryDelay(Duration delay) {
            retryDelay = delay;
            return this;
        }

        /** The namespace of every call that names none. */
        public Builder defaultNamespace(String namespace) {
            defaultNamespace = namespace;
            return this;
        }

        /** The model whose context window sessions are fitted to. */
        public Builder defaultModelName(String modelName) {
            defaultModelName = modelName;
            return this;
        }

        /** The context window in tokens that sessions are fitted to. */
        public Builder defaultContextWindowMax(Integer tokens) {
            defaultContextWindowMax = tokens;
            return this;
        }

        /** Sent as X-API-Key. */
        public Builder apiKey(String key) {
            apiKey = key;
            return this;
        }

        /** Sent as Authorization: Bearer. */
        public Builder bearerToken(String token) {
            bearerToken = token;
            return this;
        }

        /** A client of one's own, with a proxy or TLS settings, say. */
        public Builder httpClient(HttpClient client) {
            httpClient = client;
            return this;
        }

        public MemoryAPIClient build() {
            return new MemoryAPIClient(this);
        }
    }
}
