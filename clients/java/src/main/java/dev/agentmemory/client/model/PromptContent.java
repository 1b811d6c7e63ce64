package dev.agentmemory.client.model;

/** The content of a prompt's message. */
public class PromptContent {
    private String type;
    private String text;

    PromptContent() {}

    public String getType() {
        return type;
    }

    public String getText() {
        return text;
    }
}
