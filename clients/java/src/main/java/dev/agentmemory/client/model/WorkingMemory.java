package dev.agentmemory.client.model;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** A session. What is null is left to the server. */
public class WorkingMemory {
    private String sessionId;
    private List<MemoryMessage> messages;
    private List<MemoryRecord> memories;
    private Map<String, Object> data;
    private String context;
    private String userId;
    private String namespace;
    private Integer tokens;
    private MemoryStrategyConfig longTermMemoryStrategy;
    private Integer ttlSeconds;
    private Instant lastAccessed;
    private Instant createdAt;
    private Instant updatedAt;

    protected WorkingMemory() {}

    public static Builder builder() {
        return new Builder(new WorkingMemory());
    }

    /** A builder that begins with what another one has. */
    public static Builder builder(WorkingMemory from) {
        WorkingMemory copy = new WorkingMemory();
        copy.sessionId = from.sessionId;
        copy.messages = from.messages;
        copy.memories = from.memories;
        copy.data = from.data;
        copy.context = from.context;
        copy.userId = from.userId;
        copy.namespace = from.namespace;
        copy.tokens = from.tokens;
        copy.longTermMemoryStrategy = from.longTermMemoryStrategy;
        copy.ttlSeconds = from.ttlSeconds;
        copy.lastAccessed = from.lastAccessed;
        copy.createdAt = from.createdAt;
        copy.updatedAt = from.updatedAt;
        return new Builder(copy);
    }

    public String getSessionId() {
        return sessionId;
    }

    public List<MemoryMessage> getMessages() {
        return messages;
    }

    public List<MemoryRecord> getMemories() {
        return memories;
    }

    public Map<String, Object> getData() {
        return data;
    }

    public String getContext() {
        return context;
    }

    public String getUserId() {
        return userId;
    }

    public String getNamespace() {
        return namespace;
    }

    public Integer getTokens() {
        return tokens;
    }

    public MemoryStrategyConfig getLongTermMemoryStrategy() {
        return longTermMemoryStrategy;
    }

    public Integer getTtlSeconds() {
        return ttlSeconds;
    }

    public Instant getLastAccessed() {
        return lastAccessed;
    }

    public Instant getCreatedAt() {
        return createdAt;
    }

    public Instant getUpdatedAt() {
        return updatedAt;
    }

    /** Builds once. */
    public static final class Builder {
        private WorkingMemory made;

        private Builder(WorkingMemory made) {
            this.made = made;
        }

        public Builder sessionId(String sessionId) {
            made.sessionId = sessionId;
            return this;
        }

        public Builder messages(List<MemoryMessage> messages) {
            made.messages = messages;
            return this;
        }

        public Builder memories(List<MemoryRecord> memories) {
            made.memories = memories;
            return this;
        }

        public Builder data(Map<String, Object> data) {
            made.data = data;
            return this;
        }

        public Builder context(String context) {
            made.context = context;
            return this;
        }

        public Builder userId(String userId) {
            made.userId = userId;
            return this;
        }

        public Builder namespace(String namespace) {
            made.namespace = namespace;
            return this;
        }

        public Builder tokens(Integer tokens) {
            made.tokens = tokens;
            return this;
        }

        public Builder longTermMemoryStrategy(MemoryStrategyConfig longTermMemoryStrategy) {
            made.longTermMemoryStrategy = longTermMemoryStrategy;
            return this;
        }

        public Builder ttlSeconds(Integer ttlSeconds) {
            made.ttlSeconds = ttlSeconds;
            return this;
        }

        public Builder lastAccessed(Instant lastAccessed) {
            made.lastAccessed = lastAccessed;
            return this;
        }

        public Builder createdAt(Instant createdAt) {
            made.createdAt = createdAt;
            return this;
        }

        public Builder updatedAt(Instant updatedAt) {
            made.updatedAt = updatedAt;
            return this;
        }

        public WorkingMemory build() {
            WorkingMemory built = made;
            made = null;
            return built;
        }
    }
}
