package dev.agentmemory.client.model;

import java.time.Instant;

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

    Task() {}

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
