package dev.agentmemory.client.model;

import java.util.List;

/** What to look for; without text the memories are listed. */
public class SearchRequest {
    private String text;
    private String searchMode;
    private Double hybridAlpha;
    private String textScorer;
    private TagFilter sessionId;
    private TagFilter namespace;
    private TagFilter userId;
    private TagFilter topics;
    private TagFilter entities;
    private TagFilter extractionStrategy;
    private TagFilter memoryType;
    private TimeFilter createdAt;
    private TimeFilter lastAccessed;
    private TimeFilter eventDate;
    private Double distanceThreshold;
    private Integer limit;
    private Integer offset;
    private Boolean recencyBoost;
    private Double recencySemanticWeight;
    private Double recencyRecencyWeight;
    private Double recencyFreshnessWeight;
    private Double recencyNoveltyWeight;
    private Double recencyHalfLifeLastAccessDays;
    private Double recencyHalfLifeCreatedDays;
    private Boolean serverSideRecency;

    SearchRequest() {}

    public static Builder builder() {
        return new Builder(new SearchRequest());
    }

    /** A builder that begins with what another one has. */
    public static Builder builder(SearchRequest from) {
        SearchRequest copy = new SearchRequest();
        copy.text = from.text;
        copy.searchMode = from.searchMode;
        copy.hybridAlpha = from.hybridAlpha;
        copy.textScorer = from.textScorer;
        copy.sessionId = from.sessionId;
        copy.namespace = from.namespace;
        copy.userId = from.userId;
        copy.topics = from.topics;
        copy.entities = from.entities;
        copy.extractionStrategy = from.extractionStrategy;
        copy.memoryType = from.memoryType;
        copy.createdAt = from.createdAt;
        copy.lastAccessed = from.lastAccessed;
        copy.eventDate = from.eventDate;
        copy.distanceThreshold = from.distanceThreshold;
        copy.limit = from.limit;
        copy.offset = from.offset;
        copy.recencyBoost = from.recencyBoost;
        copy.recencySemanticWeight = from.recencySemanticWeight;
        copy.recencyRecencyWeight = from.recencyRecencyWeight;
        copy.recencyFreshnessWeight = from.recencyFreshnessWeight;
        copy.recencyNoveltyWeight = from.recencyNoveltyWeight;
        copy.recencyHalfLifeLastAccessDays = from.recencyHalfLifeLastAccessDays;
        copy.recencyHalfLifeCreatedDays = from.recencyHalfLifeCreatedDays;
        copy.serverSideRecency = from.serverSideRecency;
        return new Builder(copy);
    }

    public String getText() {
        return text;
    }

    public String getSearchMode() {
        return searchMode;
    }

    public Double getHybridAlpha() {
        return hybridAlpha;
    }

    public String getTextScorer() {
        return textScorer;
    }

    public TagFilter getSessionId() {
        return sessionId;
    }

    public TagFilter getNamespace() {
        return namespace;
    }

    public TagFilter getUserId() {
        return userId;
    }

    public TagFilter getTopics() {
        return topics;
    }

    public TagFilter getEntities() {
        return entities;
    }

    public TagFilter getExtractionStrategy() {
        return extractionStrategy;
    }

    public TagFilter getMemoryType() {
        return memoryType;
    }

    public TimeFilter getCreatedAt() {
        return createdAt;
    }

    public TimeFilter getLastAccessed() {
        return lastAccessed;
    }

    public TimeFilter getEventDate() {
        return eventDate;
    }

    public Double getDistanceThreshold() {
        return distanceThreshold;
    }

    public Integer getLimit() {
        return limit;
    }

    public Integer getOffset() {
        return offset;
    }

    public Boolean getRecencyBoost() {
        return recencyBoost;
    }

    public Double getRecencySemanticWeight() {
        return recencySemanticWeight;
    }

    public Double getRecencyRecencyWeight() {
        return recencyRecencyWeight;
    }

    public Double getRecencyFreshnessWeight() {
        return recencyFreshnessWeight;
    }

    public Double getRecencyNoveltyWeight() {
        return recencyNoveltyWeight;
    }

    public Double getRecencyHalfLifeLastAccessDays() {
        return recencyHalfLifeLastAccessDays;
    }

    public Double getRecencyHalfLifeCreatedDays() {
        return recencyHalfLifeCreatedDays;
    }

    public Boolean getServerSideRecency() {
        return serverSideRecency;
    }

    /** Builds once. */
    public static final class Builder {
        private SearchRequest made;

        private Builder(SearchRequest made) {
            this.made = made;
        }

        public Builder text(String text) {
            made.text = text;
            return this;
        }

        public Builder searchMode(String searchMode) {
            made.searchMode = searchMode;
            return this;
        }

        public Builder hybridAlpha(Double hybridAlpha) {
            made.hybridAlpha = hybridAlpha;
            return this;
        }

        public Builder textScorer(String textScorer) {
            made.textScorer = textScorer;
            return this;
        }

        public Builder sessionId(TagFilter sessionId) {
            made.sessionId = sessionId;
            return this;
        }

        public Builder sessionId(String sessionId) {
            return sessionId(TagFilter.equalTo(sessionId));
        }

        public Builder namespace(TagFilter namespace) {
            made.namespace = namespace;
            return this;
        }

        public Builder namespace(String namespace) {
            return namespace(TagFilter.equalTo(namespace));
        }

        public Builder userId(TagFilter userId) {
            made.userId = userId;
            return this;
        }

        public Builder userId(String userId) {
            return userId(TagFilter.equalTo(userId));
        }

        public Builder topics(TagFilter topics) {
            made.topics = topics;
            return this;
        }

        public Builder topics(List<String> topics) {
            return topics(TagFilter.anyOf(topics));
        }

        public Builder entities(TagFilter entities) {
            made.entities = entities;
            return this;
        }

        public Builder entities(List<String> entities) {
            return entities(TagFilter.anyOf(entities));
        }

        public Builder extractionStrategy(TagFilter extractionStrategy) {
            made.extractionStrategy = extractionStrategy;
            return this;
        }

        public Builder extractionStrategy(String extractionStrategy) {
            return extractionStrategy(TagFilter.equalTo(extractionStrategy));
        }

        public Builder memoryType(TagFilter memoryType) {
            made.memoryType = memoryType;
            return this;
        }

        public Builder memoryType(String memoryType) {
            return memoryType(TagFilter.equalTo(memoryType));
        }

        public Builder createdAt(TimeFilter createdAt) {
            made.createdAt = createdAt;
            return this;
        }

        public Builder lastAccessed(TimeFilter lastAccessed) {
            made.lastAccessed = lastAccessed;
            return this;
        }

        public Builder eventDate(TimeFilter eventDate) {
            made.eventDate = eventDate;
            return this;
        }

        public Builder distanceThreshold(Double distanceThreshold) {
            made.distanceThreshold = distanceThreshold;
            return this;
        }

        public Builder limit(Integer limit) {
            made.limit = limit;
            return this;
        }

        public Builder offset(Integer offset) {
            made.offset = offset;
            return this;
        }

        public Builder recencyBoost(Boolean recencyBoost) {
            made.recencyBoost = recencyBoost;
            return this;
        }

        public Builder recencySemanticWeight(Double recencySemanticWeight) {
            made.recencySemanticWeight = recencySemanticWeight;
            return this;
        }

        public Builder recencyRecencyWeight(Double recencyRecencyWeight) {
            made.recencyRecencyWeight = recencyRecencyWeight;
            return this;
        }

        public Builder recencyFreshnessWeight(Double recencyFreshnessWeight) {
            made.recencyFreshnessWeight = recencyFreshnessWeight;
            return this;
        }

        public Builder recencyNoveltyWeight(Double recencyNoveltyWeight) {
            made.recencyNoveltyWeight = recencyNoveltyWeight;
            return this;
        }

        public Builder recencyHalfLifeLastAccessDays(Double recencyHalfLifeLastAccessDays) {
            made.recencyHalfLifeLastAccessDays = recencyHalfLifeLastAccessDays;
            return this;
        }

        public Builder recencyHalfLifeCreatedDays(Double recencyHalfLifeCreatedDays) {
            made.recencyHalfLifeCreatedDays = recencyHalfLifeCreatedDays;
            return this;
        }

        public Builder serverSideRecency(Boolean serverSideRecency) {
            made.serverSideRecency = serverSideRecency;
            return this;
        }

        public SearchRequest build() {
            SearchRequest built = made;
            made = null;
            return built;
        }
    }
}
