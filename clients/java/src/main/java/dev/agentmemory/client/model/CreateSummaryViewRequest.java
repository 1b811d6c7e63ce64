package dev.agentmemory.client.model;

import java.util.List;
import java.util.Map;

/** A summary view to create. */
public class CreateSummaryViewRequest {
    private String name;
    private String source;
    private List<String> groupBy;
    private Map<String, Object> filters;
    private Integer timeWindowDays;
    private Boolean continuous;
    private String prompt;
    private String modelName;

    CreateSummaryViewRequest() {}

    public static Builder builder() {
        return new Builder(new CreateSummaryViewRequest());
    }

    public String getName() {
        return name;
    }

    public String getSource() {
        return source;
    }

    public List<String> getGroupBy() {
        return groupBy;
    }

    public Map<String, Object> getFilters() {
        return filters;
    }

    public Integer getTimeWindowDays() {
        return timeWindowDays;
    }

    public Boolean getContinuous() {
        return continuous;
    }

    public String getPrompt() {
        return prompt;
    }

    public String getModelName() {
        return modelName;
    }

    /** Builds once. */
    public static final class Builder {
        private CreateSummaryViewRequest made;

        private Builder(CreateSummaryViewRequest made) {
            this.made = made;
        }

        public Builder name(String name) {
            made.name = name;
            return this;
        }

        public Builder source(String source) {
            made.source = source;
            return this;
        }

        public Builder groupBy(List<String> groupBy) {
            made.groupBy = groupBy;
            return this;
        }

        public Builder filters(Map<String, Object> filters) {
            made.filters = filters;
            return this;
        }

        public Builder timeWindowDays(Integer timeWindowDays) {
            made.timeWindowDays = timeWindowDays;
            return this;
        }

        public Builder continuous(Boolean continuous) {
            made.continuous = continuous;
            return this;
        }

        public Builder prompt(String prompt) {
            made.prompt = prompt;
            return this;
        }

        public Builder modelName(String modelName) {
            made.modelName = modelName;
            return this;
        }

        public CreateSummaryViewRequest build() {
            CreateSummaryViewRequest built = made;
            made = null;
            return built;
        }
    }
}
