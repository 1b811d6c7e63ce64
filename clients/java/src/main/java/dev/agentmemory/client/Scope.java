package dev.agentmemory.client;

/** Whose memory; either part may be null, and a null namespace is the client's default one. */
public record Scope(String namespace, String userId) {
    /** The client's default namespace, and any user. */
    public static final Scope DEFAULT = new Scope(null, null);

    /** A user in the client's default namespace. */
    public static Scope ofUser(String userId) {
        return new Scope(null, userId);
    }
}
