package dev.agentmemory.client.model;

import java.util.List;

/** The ids of the messages that were added. */
public class AppendResponse extends AckResponse {
    private String sessionId;
    private List<String> messageIds;

    AppendResponse() {}

    public String getSessionId() {
        return sessionId;
    }

    public List<String> getMessageIds() {
        return messageIds;
    }
}
