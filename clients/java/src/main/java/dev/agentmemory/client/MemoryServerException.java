package dev.agentmemory.client;

/** The server answered with an error. */
public class MemoryServerException extends MemoryClientException {
    private final int statusCode;

    MemoryServerException(String message, int statusCode) {
        super(message);
        this.statusCode = statusCode;
    }

    public int getStatusCode() {
        return statusCode;
    }
}
