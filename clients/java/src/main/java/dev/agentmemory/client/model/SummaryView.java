package dev.agentmemory.client.model;

import java.util.List;
import java.util.Map;

/** A standing summary over memories, one per partition. */
public class SummaryView {
    private String id;
    private String name;
    private String source;
    private List<String> groupBy;
    private Map<String, Object> filters;
    private Integer timeWindowDays;
    private Boolean continuous;
    private String prompt;
    private String modelName;

    SummaryView() {}

    public String getId() {
        return id;
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
}
