package dev.agentmemory.client.model;

import java.util.List;

/** A page of hits; nextOffset is null on the last one. */
public class MemoryRecordResults {
    private List<MemoryRecordResult> memories;
    private Integer total;
    private Integer nextOffset;

    MemoryRecordResults() {}

    public List<MemoryRecordResult> getMemories() {
        return memories;
    }

    public Integer getTotal() {
        return total;
    }

    public Integer getNextOffset() {
        return nextOffset;
    }
}
