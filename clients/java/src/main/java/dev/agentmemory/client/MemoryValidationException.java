package dev.agentmemory.client;

/** A value was refused before anything was sent. */
public class MemoryValidationException extends MemoryClientException {
    MemoryValidationException(String message) {
        super(message);
    }
}
