package dev.agentmemory.client.model;

/** The session of a prompt, and the window that it is cut to. */
public class PromptSession {
    private String sessionId;
    private String userId;
    private String namespace;
    private String modelName;
    private Integer contextWindowMax;

    PromptSession() {}

    public static Builder builder() {
        return new Builder(new PromptSession());
    }

    /** A builder that begins with what another one has. */
    public static Builder builder(PromptSession from) {
        PromptSession copy = new PromptSession();
        copy.sessionId = from.sessionId;
        copy.userId = from.userId;
        copy.namespace = from.namespace;
        copy.modelName = from.modelName;
        copy.contextWindowMax = from.contextWindowMax;
        return new Builder(copy);
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

    public String getModelName() {
        return modelName;
    }

    public Integer getContextWindowMax() {
        return contextWindowMax;
    }

    /** Builds once. */
    public static final class Builder {
        private PromptSession made;

        private Builder(PromptSession made) {
            this.made = made;
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

        public Builder modelName(String modelName) {
            made.modelName = modelName;
            return this;
        }

        public Builder contextWindowMax(Integer contextWindowMax) {
            made.contextWindowMax = contextWindowMax;
            return this;
        }

        public PromptSession build() {
            PromptSession built = made;
            made = null;
            return built;
        }
    }
}
