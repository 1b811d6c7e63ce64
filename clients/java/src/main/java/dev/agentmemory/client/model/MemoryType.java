package dev.agentmemory.client.model;

import com.fasterxml.jackson.annotation.JsonProperty;

/** What kind of memory a record is. */
public enum MemoryType {
    @JsonProperty("semantic")
    SEMANTIC,
    @JsonProperty("episodic")
    EPISODIC,
    @JsonProperty("message")
    MESSAGE
}
