package dev.agentmemory.client.model;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** A memory: one self-contained fact. */
public class MemoryRecord {
    private String id;
    private String text;
    private String sessionId;
    private String userId;
    private String namespace;
    private Instant lastAccessed;
    private Instant createdAt;
    private Instant updatedAt;
    private Boolean pinned;
    private Integer accessCount;
    private List<String> topics;
    private List<String> entities;
    private String memoryHash;
    private String discreteMemoryExtracted;
    private MemoryType memoryType;
    private Instant persistedAt;
    private List<String> extractedFrom;
    private Instant eventDate;
    private String extractionStrategy;
    private Map<String, Object> extractionStrategyConfig;
    private Map<String, Object> metadata;

    protected MemoryRecord() {}

    public static Builder builder() {
        return new Builder(new MemoryRecord());
    }

    /** A builder that begins with what another one has. */
    public static Builder builder(MemoryRecord from) {
        MemoryRecord copy = new MemoryRecord();
        copy.id = from.id;
        copy.text = from.text;
        copy.sessionId = from.sessionId;
        copy.userId = from.userId;
        copy.namespace = from.namespace;
        copy.lastAccessed = from.lastAccessed;
        copy.createdAt = from.createdAt;
        copy.updatedAt = from.updatedAt;
        copy.pinned = from.pinned;
        copy.accessCount = from.accessCount;
        copy.topics = from.topics;
        copy.entities = from.entities;
        copy.memoryHash = from.memoryHash;
        copy.discreteMemoryExtracted = from.discreteMemoryExtracted;
        copy.memoryType = from.memoryType;
        copy.persistedAt = from.persistedAt;
        copy.extractedFrom = from.extractedFrom;
        copy.eventDate = from.eventDate;
        copy.extractionStrategy = from.extractionStrategy;
        copy.extractionStrategyConfig = from.extractionStrategyConfig;
        copy.metadata = from.metadata;
        return new Builder(copy);
    }

    public String getId() {
        return id;
    }

    public String getText() {
        return text;
    }

    public String getSessionId() {
        return sessionId;
    }

    public String getUserId() {
        return userId;
    }

    public String getNamespace() {
        return namespace;
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

    public Boolean getPinned() {
        return pinned;
    }

    public Integer getAccessCount() {
        return accessCount;
    }

    public List<String> getTopics() {
        return topics;
    }

    public List<String> getEntities() {
        return entities;
    }

    public String getMemoryHash() {
        return memoryHash;
    }

    public String getDiscreteMemoryExtracted() {
        return discreteMemoryExtracted;
    }

    public MemoryType getMemoryType() {
        return memoryType;
    }

    public Instant getPersistedAt() {
        return persistedAt;
    }

    public List<String> getExtractedFrom() {
        return extractedFrom;
    }

    public Instant getEventDate() {
        return eventDate;
    }

    public String getExtractionStrategy() {
        return extractionStrategy;
    }

    public Map<String, Object> getExtractionStrategyConfig() {
        return extractionStrategyConfig;
    }

    public Map<String, Object> getMetadata() {
        return metadata;
    }

    /** Builds once. */
    public static final class Builder {
        private MemoryRecord made;

        private Builder(MemoryRecord made) {
            this.made = made;
        }

        public Builder id(String id) {
            made.id = id;
            return this;
        }

        public Builder text(String text) {
            made.text = text;
            return this;
        }

        public Builder sessionId(String sessionId) {
            made.sessionId = sessionId;
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

        public Builder pinned(Boolean pinned) {
            made.pinned = pinned;
            return this;
        }

        public Builder accessCount(Integer accessCount) {
            made.accessCount = accessCount;
            return this;
        }

        public Builder topics(List<String> topics) {
            made.topics = topics;
            return this;
        }

        public Builder entities(List<String> entities) {
            made.entities = entities;
            return this;
        }

        public Builder memoryHash(String memoryHash) {
            made.memoryHash = memoryHash;
            return this;
        }

        public Builder discreteMemoryExtracted(String discreteMemoryExtracted) {
            made.discreteMemoryExtracted = discreteMemoryExtracted;
            return this;
        }

        public Builder memoryType(MemoryType memoryType) {
            made.memoryType = memoryType;
            return this;
        }

        public Builder persistedAt(Instant persistedAt) {
            made.persistedAt = persistedAt;
            return this;
        }

        public Builder extractedFrom(List<String> extractedFrom) {
            made.extractedFrom = extractedFrom;
            return this;
        }

        public Builder eventDate(Instant eventDate) {
            made.eventDate = eventDate;
            return this;
        }

        public Builder extractionStrategy(String extractionStrategy) {
            made.extractionStrategy = extractionStrategy;
            return this;
        }

        public Builder extractionStrategyConfig(Map<String, Object> extractionStrategyConfig) {
            made.extractionStrategyConfig = extractionStrategyConfig;
            return this;
        }

        public Builder metadata(Map<String, Object> metadata) {
            made.metadata = metadata;
            return this;
        }

        public MemoryRecord build() {
            MemoryRecord built = made;
            made = null;
            return built;
        }
    }
}
