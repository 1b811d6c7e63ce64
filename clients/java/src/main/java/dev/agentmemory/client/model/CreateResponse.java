package dev.agentmemory.client.model;

import java.util.List;

/** What became of a create: a result for each record, or the task that indexes a large batch. */
public class CreateResponse extends AckResponse {
    private List<CreateResult> results;
    private String taskId;

    CreateResponse() {}

    public List<CreateResult> getResults() {
        return results;
    }

    public String getTaskId() {
        return taskId;
    }
}
