package dev.agentmemory.client.model;

/** A query, with the session or the search (or both) whose findings go into the prompt. */
public class MemoryPromptRequest {
    private String query;
    private PromptSession session;
    private SearchRequest longTermSearch;

    MemoryPromptRequest() {}

    public static Builder builder() {
        return new Builder(new MemoryPromptRequest());
    }

    public String getQuery() {
        return query;
    }

    public PromptSession getSession() {
        return session;
    }

    public SearchRequest getLongTermSearch() {
        return longTermSearch;
    }

    /** Builds once. */
    public static final class Builder {
        private MemoryPromptRequest made;

        private Builder(MemoryPromptRequest made) {
            this.made = made;
        }

        public Builder query(String query) {
            made.query = query;
            return this;
        }

        public Builder session(PromptSession session) {
            made.session = session;
            return this;
        }

        public Builder longTermSearch(SearchRequest longTermSearch) {
            made.longTermSearch = longTermSearch;
            return this;
        }

        public MemoryPromptRequest build() {
            MemoryPromptRequest built = made;
            made = null;
            return built;
        }
    }
}
