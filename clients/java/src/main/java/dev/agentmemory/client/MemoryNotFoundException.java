package dev.agentmemory.client;

/** The server has no such session, memory, view or task. */
public class MemoryNotFoundException extends MemoryServerException {
    MemoryNotFoundException(String message) {
        super(message, 404);
    }
}
