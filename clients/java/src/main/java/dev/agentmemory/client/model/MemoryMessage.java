package dev.agentmemory.client.model;

import java.time.Instant;

/** What somebody said. The server fills in a missing id and time. */
public class MemoryMessage {
    private String role;
    private String content;
    private String id;
    private Instant createdAt;
    private Instant persistedAt;
    private String discreteMemoryExtracted;

    MemoryMessage() {}

    public static Builder builder() {
        return new Builder(new MemoryMessage());
    }

    public String getRole() {
        return role;
    }

    public String getContent() {
        return content;
    }

    public String getId() {
        return id;
    }

    public Instant getCreatedAt() {
        return createdAt;
    }

    public Instant getPersistedAt() {
        return persistedAt;
    }

    public String getDiscreteMemoryExtracted() {
        return discreteMemoryExtracted;
    }

    /** Builds once. */
    public static final class Builder {
        private MemoryMessage made;

        private Builder(MemoryMessage made) {
            this.made = made;
        }

        public Builder role(String role) {
            made.role = role;
            return this;
        }

        public Builder content(String content) {
            made.content = content;
            return this;
        }

        public Builder id(String id) {
            made.id = id;
            return this;
        }

        public Builder createdAt(Instant createdAt) {
            made.createdAt = createdAt;
            return this;
        }

        public Builder persistedAt(Instant persistedAt) {
            made.persistedAt = persistedAt;
            return this;
        }

        public Builder discreteMemoryExtracted(String discreteMemoryExtracted) {
            made.discreteMemoryExtracted = discreteMemoryExtracted;
            return this;
        }

        public MemoryMessage build() {
            MemoryMessage built = made;
            made = null;
            return built;
        }
    }
}
