package dev.agentmemory.client.model;

/** A stored session, and how full its context window is. */
public class WorkingMemoryResponse extends WorkingMemory {
    private Double contextPercentageTotalUsed;
    private Double contextPercentageUntilSummarization;

    WorkingMemoryResponse() {}

    public Double getContextPercentageTotalUsed() {
        return contextPercentageTotalUsed;
    }

    public Double getContextPercentageUntilSummarization() {
        return contextPercentageUntilSummarization;
    }
}
