package dev.agentmemory.client.model;

/** What became of one record: <code>stored</code>, <code>replaced</code> or <code>same</code> (as memoryId). */
public class CreateResult {
    private String id;
    private String status;
    private String memoryId;

    CreateResult() {}

    public String getId() {
        return id;
    }

    public String getStatus() {
        return status;
    }

    public String getMemoryId() {
        return memoryId;
    }
}
