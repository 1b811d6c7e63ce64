package dev.agentmemory.client.model;

import java.time.Instant;
import java.util.Map;

/** The summary of one partition. */
public class SummaryViewPartitionResult {
    private String viewId;
    private Map<String, String> group;
    private String summary;
    private Integer memoryCount;
    private Boolean empty;
    private String emptyReason;
    private Instant computedAt;

    SummaryViewPartitionResult() {}

    public String getViewId() {
        return viewId;
    }

    public Map<String, String> getGroup() {
        return group;
    }

    public String getSummary() {
        return summary;
    }

    public Integer getMemoryCount() {
        return memoryCount;
    }

    public Boolean getEmpty() {
        return empty;
    }

    public String getEmptyReason() {
        return emptyReason;
    }

    public Instant getComputedAt() {
        return computedAt;
    }
}
