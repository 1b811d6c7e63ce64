package dev.agentmemory.client;

/** Anything that goes wrong in or behind this client. */
public class MemoryClientException extends RuntimeException {
    public MemoryClientException(String message) {
        super(message);
    }

    public MemoryClientException(String message, Throwable cause) {
        super(message, cause);
    }
}
