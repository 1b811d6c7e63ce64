package dev.agentmemory.client.model;

/** What was done. */
public class AckResponse {
    private String status;

    protected AckResponse() {}

    public String getStatus() {
        return status;
    }
}
