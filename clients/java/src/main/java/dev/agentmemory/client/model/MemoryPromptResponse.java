package dev.agentmemory.client.model;

import java.util.List;

/** The messages to answer with. */
public class MemoryPromptResponse {
    private List<PromptMessage> messages;

    MemoryPromptResponse() {}

    public List<PromptMessage> getMessages() {
        return messages;
    }
}
