package dev.agentmemory.client;

/** What all services have: the way to the server, and the defaults of the client. */
abstract class Service {
    final Transport transport;
    final Defaults defaults;

    Service(Transport transport, Defaults defaults) {
        this.transport = transport;
        this.defaults = defaults;
    }

    /** What calls are sent with that do not say otherwise; each part may be null. */
    record Defaults(String namespace, String modelName, Integer contextWindowMax) {}

    String namespace(String given) {
        return given != null ? given : defaults.namespace();
    }

    Transport.Call scoped(String method, String path, Scope scope) {
        return transport.call(method, path)
                .query("namespace", namespace(scope.namespace()))
                .query("user_id", scope.userId());
    }
}
