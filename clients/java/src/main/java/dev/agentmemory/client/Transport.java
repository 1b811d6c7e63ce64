package dev.agentmemory.client;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/** Sends requests: authentication, time-outs, retries, errors. */
final class Transport {
    static final String VERSION = "0.1.0";
    private static final Set<Integer> NOTHING_DONE = Set.of(429, 503);
    private static final Set<Integer> PERHAPS_DONE = Set.of(502, 504);
    private static final long LONGEST_DELAY_MILLIS = 30_000;

    private final HttpClient http;
    private final String base;
    private final Duration timeout;
    private final int retries;
    private final Duration retryDelay;
    private final Map<String, String> headers;

    Transport(HttpClient http, String base, Duration timeout, int retries, Duration retryDelay, Map<String, String> headers) {
        this.http = http;
        this.base = base.replaceAll("/+$", "");
        this.timeout = timeout;
        this.retries = retries;
        this.retryDelay = retryDelay;
        this.headers = Map.copyOf(headers);
    }

    /** An answer's body, and the revision of the session if it has one. */
    record Answer<T>(T body, Optional<String> etag) {}

    /** A request in the making. */
    final class Call {
        private final String method;
        private final String path;
        private final List<String> query = new ArrayList<>();
        private Object body;
        private String ifMatch;
        private boolean idempotent = true;

        private Call(String method, String path) {
            this.method = method;
            this.path = path;
        }

        Call query(String name, Object value) {
            if (value != null) {
                query.add(name + "=" + encode(value.toString()));
            }
            return this;
        }

        Call body(Object value) {
            body = value;
            return this;
        }

        Call ifMatch(String etag) {
            ifMatch = etag;
            return this;
        }

        /** Done twice it is not the same as done once: not repeated when its answer gets lost. */
        Call once() {
            idempotent = false;
            return this;
        }

        <T> T send(Class<T> type) {
            return sendFor(Json.MAPPER.constructType(type), type).body();
        }

        <T> List<T> sendForList(Class<T> type) {
            JavaType list = Json.MAPPER.getTypeFactory().constructCollectionType(List.class, type);
            @SuppressWarnings("unchecked")
            List<T> values = (List<T>) sendFor(list, List.class).body();
            return values;
        }

        <T> Answer<T> sendWithEtag(Class<T> type) {
            return sendFor(Json.MAPPER.constructType(type), type);
        }

        private <T> Answer<T> sendFor(JavaType type, Class<T> shown) {
            HttpResponse<String> response = exchange(this);
            try {
                return new Answer<>(shown.cast(Json.MAPPER.readValue(response.body(), type)), response.headers().firstValue("ETag"));
            } catch (JsonProcessingException e) {
                throw new MemoryClientException("The answer is not what was expected: " + e.getOriginalMessage(), e);
            }
        }
    }

    Call call(String method, String path) {
        return new Call(method, path);
    }

    static String encode(String part) {
        return URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private HttpResponse<String> exchange(Call call) {
        HttpRequest request = request(call);
        for (int attempt = 0; ; attempt++) {
            boolean last = attempt >= retries;
            HttpResponse<String> response;
            try {
                response = http.send(request, BodyHandlers.ofString());
            } catch (IOException e) {
                if (last || !call.idempotent) {
                    throw new MemoryClientException("Request failed: " + e, e);
                }
                pause(attempt, Optional.empty());
                continue;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new MemoryClientException("Interrupted", e);
            }
            int status = response.statusCode();
            if (status / 100 == 2) {
                return response;
            }
            if (last || !(NOTHING_DONE.contains(status) || (call.idempotent && PERHAPS_DONE.contains(status)))) {
                throw error(status, response.body());
            }
            pause(attempt, response.headers().firstValue("Retry-After"));
        }
    }

    private HttpRequest request(Call call) {
        String query = call.query.isEmpty() ? "" : "?" + String.join("&", call.query);
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + call.path + query)).timeout(timeout);
        headers.forEach(request::setHeader);
        if (call.ifMatch != null) {
            request.setHeader("If-Match", call.ifMatch);
        }
        if (call.body == null) {
            return request.method(call.method, BodyPublishers.noBody()).build();
        }
        try {
            String json = Json.MAPPER.writeValueAsString(call.body);
            return request.setHeader("Content-Type", "application/json")
                    .method(call.method, BodyPublishers.ofString(json))
                    .build();
        } catch (IOException e) {
            throw new MemoryClientException("The request cannot be written as JSON: " + e.getMessage(), e);
        }
    }

    private void pause(int attempt, Optional<String> retryAfter) {
        double chance = 0.5 + ThreadLocalRandom.current().nextDouble();
        long millis = (long) (retryDelay.toMillis() * (1L << Math.min(attempt, 20)) * chance);
        if (retryAfter.isPresent() && retryAfter.get().matches("\\d{1,6}")) {
            millis = Long.parseLong(retryAfter.get()) * 1000;
        }
        sleep(Math.min(millis, LONGEST_DELAY_MILLIS));
    }

    static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new MemoryClientException("Interrupted", e);
        }
    }

    private static MemoryServerException error(int status, String body) {
        String message = describe(body);
        String said = message.isBlank() ? "HTTP " + status : message;
        return status == 404 ? new MemoryNotFoundException(said) : new MemoryServerException(said, status);
    }

    /** What an error's body says; a list of problems becomes one readable line. */
    private static String describe(String body) {
        JsonNode detail;
        try {
            detail = Json.MAPPER.readTree(body).path("detail");
        } catch (JsonProcessingException e) {
            return body; // not JSON: a proxy's page, perhaps
        }
        if (!detail.isArray()) {
            return detail.isTextual() ? detail.asText() : body;
        }
        List<String> problems = new ArrayList<>();
        for (JsonNode problem : detail) {
            List<String> place = new ArrayList<>();
            problem.path("loc").forEach(part -> place.add(part.asText()));
            problems.add(String.join(".", place) + ": " + problem.path("msg").asText());
        }
        return String.join("; ", problems);
    }
}
