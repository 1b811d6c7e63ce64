package dev.agentmemory.client.model;

import java.util.List;

/** A page of session ids, most recently updated first. */
public class SessionListResponse {
    private List<String> sessions;
    private Integer total;

    SessionListResponse() {}

    public List<String> getSessions() {
        return sessions;
    }

    public Integer getTotal() {
        return total;
    }
}
