package dev.agentmemory.client.model;

import java.util.List;

/** The messages to answer with, and the memories that went into them. */
public class MemoryPromptResponse {
    private List<PromptMessage> messages;
    private List<MemoryRecordResult> longTermMemories;

    MemoryPromptResponse() {}

    public List<PromptMessage> getMessages() {
        return messages;
    }

    public List<MemoryRecordResult> getLongTermMemories() {
        return longTermMemories;
    }
}
