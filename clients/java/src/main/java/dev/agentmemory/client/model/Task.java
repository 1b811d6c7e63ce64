package dev.agentmemory.client.model;

import com.fasterxml.jackson.annotation.JsonAnyGetter;
import com.fasterxml.jackson.annotation.JsonAnySetter;
import com.fasterxml.jackson.annotation.JsonIgnore;
import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Background work: pending, running, success or failed. */
public class Task {
    private String id;
    private String type;
    private String status;
    private String viewId;
    private Instant createdAt;
    private Instant startedAt;
    private Instant completedAt;
    private String errorMessage;

    @JsonIgnore
    private final Map<String, Object> details = new LinkedHashMap<>();

    Task() {}

    /** What else the server says of this kind of work, its progress for instance. */
    @JsonAnyGetter
    public Map<String, Object> getDetails() {
        return Collections.unmodifiableMap(details);
    }

    @JsonAnySetter
    private void detail(String name, Object value) {
        details.put(name, value);
    }

    /** Whether it has come to an end, in success or failure. */
    public boolean hasEnded() {
        return "success".equals(status) || "failed".equals(status);
    }

    public String getId() {
        return id;
    }

    public String getType() {
        return type;
    }

    public String getStatus() {
        return status;
    }

    public String getViewId() {
        return viewId;
    }

    public Instant getCreatedAt() {
        return createdAt;
    }

    public Instant getStartedAt() {
        return startedAt;
    }

    public Instant getCompletedAt() {
        return completedAt;
    }

    public String getErrorMessage() {
        return errorMessage;
    }
}
