package dev.agentmemory.client.model;

import java.util.List;

/** What was, or in a dry run would be, forgotten. */
public class ForgetResponse {
    private Integer scanned;
    private Integer deleted;
    private List<String> deletedIds;
    private Boolean dryRun;

    ForgetResponse() {}

    public Integer getScanned() {
        return scanned;
    }

    public Integer getDeleted() {
        return deleted;
    }

    public List<String> getDeletedIds() {
        return deletedIds;
    }

    public Boolean getDryRun() {
        return dryRun;
    }
}
