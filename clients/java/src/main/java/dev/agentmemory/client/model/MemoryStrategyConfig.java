package dev.agentmemory.client.model;

import java.util.Map;

/** What to distil from a session: discrete, summary, preferences or custom. */
public class MemoryStrategyConfig {
    private String strategy;
    private Map<String, Object> config;

    MemoryStrategyConfig() {}

    public static Builder builder() {
        return new Builder(new MemoryStrategyConfig());
    }

    public String getStrategy() {
        return strategy;
    }

    public Map<String, Object> getConfig() {
        return config;
    }

    /** Builds once. */
    public static final class Builder {
        private MemoryStrategyConfig made;

        private Builder(MemoryStrategyConfig made) {
            this.made = made;
        }

        public Builder strategy(String strategy) {
            made.strategy = strategy;
            return this;
        }

        public Builder config(Map<String, Object> config) {
            made.config = config;
            return this;
        }

        public MemoryStrategyConfig build() {
            MemoryStrategyConfig built = made;
            made = null;
            return built;
        }
    }
}
