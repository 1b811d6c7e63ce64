package dev.agentmemory.client.model;

/** A message of a prompt. */
public class PromptMessage {
    private String role;
    private PromptContent content;

    PromptMessage() {}

    public String getRole() {
        return role;
    }

    public PromptContent getContent() {
        return content;
    }
}
