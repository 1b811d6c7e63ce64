package dev.agentmemory.client;

import static dev.agentmemory.client.Checks.equal;
import static dev.agentmemory.client.Checks.raises;
import static dev.agentmemory.client.Checks.that;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.agentmemory.client.model.MemoryMessage;
import dev.agentmemory.client.model.MemoryRecord;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.Executors;

/** What the client does with a server that misbehaves: a real one, that answers as it is told. */
public final class TransportTest {
    private static final int HANG_UP = 0;
    private static final int SILENCE = -1;

    private record Planned(int status, String body, String retryAfter) {}

    private record Seen(String method, String uri, String body, String apiKey, String authorization) {}

    private static final Deque<Planned> answers = new ArrayDeque<>();
    private static final List<Seen> requests = Collections.synchronizedList(new ArrayList<>());

    private static void answer(HttpExchange exchange) throws IOException {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        requests.add(new Seen(
                exchange.getRequestMethod(),
                exchange.getRequestURI().toString(),
                body,
                exchange.getRequestHeaders().getFirst("X-API-Key"),
                exchange.getRequestHeaders().getFirst("Authorization")));
        Planned planned = answers.isEmpty() ? new Planned(200, "{\"now\": 1}", null) : answers.poll();
        if (planned.status == SILENCE) {
            return;
        }
        if (planned.status == HANG_UP) {
            exchange.close();
            return;
        }
        if (planned.retryAfter != null) {
            exchange.getResponseHeaders().set("Retry-After", planned.retryAfter);
        }
        byte[] bytes = planned.body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(planned.status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    private static void plan(Planned... planned) {
        requests.clear();
        answers.clear();
        answers.addAll(List.of(planned));
    }

    private static Planned says(int status, String body) {
        return new Planned(status, body, null);
    }

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        }));
        server.createContext("/", TransportTest::answer);
        server.start();
        String url = "http://127.0.0.1:" + server.getAddress().getPort();
        MemoryAPIClient client = MemoryAPIClient.builder(url).retryDelay(Duration.ofMillis(1)).build();
        Checks checks = new Checks();

        checks.add("sends the credentials that it is given, and keeps a path in the base URL", () -> {
            plan();
            MemoryAPIClient.builder(url + "/memory/").apiKey("key").bearerToken("token").build().health().healthCheck();
            equal(new Seen("GET", "/memory/v1/health", "", "key", "Bearer token"), requests.get(0));
        });
        checks.add("tries again when the server is away, with the same memory", () -> {
            plan(says(503, "{\"detail\": \"away\"}"), says(429, "{}"), says(200, "{\"status\": \"ok\"}"));
            equal("ok", client.longTermMemory()
                    .createLongTermMemories(List.of(MemoryRecord.builder().text("x").build()))
                    .getStatus());
            equal(3, requests.size());
            equal(1, new HashSet<>(requests).size());
        });
        checks.add("waits as long as Retry-After says", () -> {
            plan(new Planned(503, "{}", "1"));
            long start = System.nanoTime();
            client.health().healthCheck();
            that(System.nanoTime() - start >= 990_000_000L, "too early");
        });
        checks.add("gives up after so many retries, with what the server said", () -> {
            plan(says(503, "{}"), says(503, "{}"), says(503, "{\"detail\": \"Redis cannot be reached\"}"));
            MemoryServerException error = raises(MemoryServerException.class, () -> client.health().healthCheck());
            equal(503, error.getStatusCode());
            equal("Redis cannot be reached", error.getMessage());
        });
        checks.add("does not repeat what must not be done twice when its answer gets lost", () -> {
            for (Planned lost : List.of(says(HANG_UP, ""), says(504, "{}"))) {
                plan(lost);
                raises(MemoryClientException.class, () -> client.workingMemory().appendMessagesToWorkingMemory(
                        "s", List.of(MemoryMessage.builder().role("user").content("once").build()), Scope.DEFAULT));
                equal(1, requests.size());
            }
            plan(says(504, "{}"));
            client.health().healthCheck();
            equal(2, requests.size());
        });
        checks.add("does not try again what the server refused, and says where it is wrong", () -> {
            plan(says(422, "{\"detail\": [{\"loc\": [\"body\", \"limit\"], \"msg\": \"Too large\"}]}"));
            MemoryServerException error =
                    raises(MemoryServerException.class, () -> client.longTermMemory().searchLongTermMemories("x"));
            equal("body.limit: Too large", error.getMessage());
            equal(1, requests.size());
        });
        checks.add("ends a request that takes too long", () -> {
            plan(says(SILENCE, ""));
            MemoryAPIClient hasty = MemoryAPIClient.builder(url).timeout(0.1).retries(0).build();
            that(raises(MemoryClientException.class, () -> hasty.health().healthCheck())
                    .getMessage().contains("Timeout"), "another message");
        });
        checks.add("does not take a proxy's page for an answer", () -> {
            plan(says(200, "<html>login</html>"));
            raises(MemoryClientException.class, () -> client.health().healthCheck());
            plan(says(500, "<html>oops</html>"));
            equal("<html>oops</html>", raises(MemoryServerException.class, () -> client.health().healthCheck()).getMessage());
        });
        checks.add("does not erase a session when the server is away", () -> {
            plan(says(503, "{}"), says(503, "{}"), says(503, "{}"));
            raises(MemoryServerException.class, () -> client.workingMemory().getOrCreateWorkingMemory("s"));
            that(requests.stream().noneMatch(r -> r.method.equals("PUT")), requests);
        });
        checks.run();
    }
}
