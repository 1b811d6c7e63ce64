package dev.agentmemory.client.model;

/** The server's time in Unix milliseconds. */
public class HealthCheckResponse {
    private Long now;

    HealthCheckResponse() {}

    public Long getNow() {
        return now;
    }
}
