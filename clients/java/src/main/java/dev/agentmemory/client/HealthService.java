package dev.agentmemory.client;

import dev.agentmemory.client.model.HealthCheckResponse;

/** Whether the server answers. */
public final class HealthService extends Service {
    HealthService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    public HealthCheckResponse healthCheck() {
        return transport.call("GET", "/v1/health").send(HealthCheckResponse.class);
    }
}
