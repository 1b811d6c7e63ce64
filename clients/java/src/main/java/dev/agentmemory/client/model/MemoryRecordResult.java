package dev.agentmemory.client.model;

/** A memory that a search found. */
public class MemoryRecordResult extends MemoryRecord {
    private Double dist;
    private Double score;
    private String scoreType;

    MemoryRecordResult() {}

    public Double getDist() {
        return dist;
    }

    public Double getScore() {
        return score;
    }

    public String getScoreType() {
        return scoreType;
    }
}
