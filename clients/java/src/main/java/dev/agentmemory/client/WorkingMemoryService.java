package dev.agentmemory.client;

import dev.agentmemory.client.model.AckResponse;
import dev.agentmemory.client.model.AppendResponse;
import dev.agentmemory.client.model.MemoryMessage;
import dev.agentmemory.client.model.MemoryRecord;
import dev.agentmemory.client.model.SessionListResponse;
import dev.agentmemory.client.model.WorkingMemory;
import dev.agentmemory.client.model.WorkingMemoryResponse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;

/** Sessions. */
public final class WorkingMemoryService extends Service {
    private static final String SESSIONS = "/v1/working-memory/";
    private static final int LIST_LIMIT = 100;
    private static final int UPDATE_ATTEMPTS = 10;

    WorkingMemoryService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    /** A session, and whether it was made just now. */
    public record WorkingMemoryResult(boolean created, WorkingMemoryResponse memory) {
        public boolean isCreated() {
            return created;
        }

        public WorkingMemoryResponse getMemory() {
            return memory;
        }
    }

    public SessionListResponse listSessions() {
        return listSessions(Scope.DEFAULT, LIST_LIMIT, 0);
    }

    /** The ids of sessions, most recently updated first. */
    public SessionListResponse listSessions(Scope scope, int limit, int offset) {
        return scoped("GET", SESSIONS, scope)
                .query("limit", limit)
                .query("offset", offset)
                .send(SessionListResponse.class);
    }

    /** The session; MemoryNotFoundException when there is none. */
    public WorkingMemoryResponse getWorkingMemory(String sessionId) {
        return getWorkingMemory(sessionId, Scope.DEFAULT);
    }

    public WorkingMemoryResponse getWorkingMemory(String sessionId, Scope scope) {
        return window(scoped("GET", session(sessionId), scope)).send(WorkingMemoryResponse.class);
    }

    public WorkingMemoryResult getOrCreateWorkingMemory(String sessionId) {
        return getOrCreateWorkingMemory(sessionId, Scope.DEFAULT);
    }

    /** The session, made empty when there is none (two requests then). */
    public WorkingMemoryResult getOrCreateWorkingMemory(String sessionId, Scope scope) {
        try {
            return new WorkingMemoryResult(false, getWorkingMemory(sessionId, scope));
        } catch (MemoryNotFoundException unknown) {
            WorkingMemory empty = WorkingMemory.builder()
                    .namespace(scope.namespace())
                    .userId(scope.userId())
                    .data(Map.of())
                    .build();
            return new WorkingMemoryResult(true, putWorkingMemory(sessionId, empty));
        }
    }

    /** Replace a session as a whole. To change a part of one that others write too, use updateWorkingMemory. */
    public WorkingMemoryResponse putWorkingMemory(String sessionId, WorkingMemory workingMemory) {
        return put(sessionId, workingMemory, null);
    }

    /**
     * Change a session so that no concurrent change of it is lost: read it, store what <code>change</code> makes of it
     * if nobody stored another meanwhile, and start again otherwise.
     */
    public WorkingMemoryResponse updateWorkingMemory(
            String sessionId, Scope scope, Function<Optional<WorkingMemoryResponse>, WorkingMemory> change) {
        for (int attempt = 1; ; attempt++) {
            Optional<WorkingMemoryResponse> found = Optional.empty();
            String etag = "\"0\"";
            try {
                // Without the defaults for windows: a session cut to a window must not be written back.
                var answer = scoped("GET", session(sessionId), scope).sendWithEtag(WorkingMemoryResponse.class);
                found = Optional.of(answer.body());
                etag = answer.etag().orElse(null);
            } catch (MemoryNotFoundException unknown) {
                // to be made
            }
            WorkingMemory changed = change.apply(found);
            WorkingMemory.Builder scoped = WorkingMemory.builder(changed);
            if (changed.getUserId() == null) {
                scoped.userId(scope.userId());
            }
            if (changed.getNamespace() == null) {
                scoped.namespace(scope.namespace());
            }
            try {
                return put(sessionId, scoped.build(), etag);
            } catch (MemoryServerException e) {
                if (e.getStatusCode() != 412 || attempt == UPDATE_ATTEMPTS) {
                    throw e;
                }
                Transport.sleep(ThreadLocalRandom.current().nextLong(20L * attempt));
            }
        }
    }

    /** Add messages at the end of a session, made when there is none; any number of writers may do so at once. */
    public AppendResponse appendMessagesToWorkingMemory(String sessionId, List<MemoryMessage> messages, Scope scope) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("messages", messages);
        body.put("namespace", namespace(scope.namespace()));
        body.put("user_id", scope.userId());
        return transport.call("POST", session(sessionId) + "/messages").body(body).once().send(AppendResponse.class);
    }

    /** Set keys of the session's data, beside those that are there. */
    public WorkingMemoryResponse setWorkingMemoryData(String sessionId, Map<String, Object> data, Scope scope) {
        return updateWorkingMemory(sessionId, scope, found -> {
            Map<String, Object> merged = new LinkedHashMap<>();
            found.map(WorkingMemory::getData).ifPresent(merged::putAll);
            merged.putAll(data);
            return edit(found).data(merged).build();
        });
    }

    /** Add structured memories to a session, which become long-term memories in the background. */
    public WorkingMemoryResponse addMemoriesToWorkingMemory(String sessionId, List<MemoryRecord> memories, Scope scope) {
        return updateWorkingMemory(sessionId, scope, found -> {
            List<MemoryRecord> all = new ArrayList<>();
            found.map(WorkingMemory::getMemories).ifPresent(all::addAll);
            all.addAll(memories);
            return edit(found).memories(all).build();
        });
    }

    public AckResponse deleteWorkingMemory(String sessionId) {
        return deleteWorkingMemory(sessionId, Scope.DEFAULT);
    }

    public AckResponse deleteWorkingMemory(String sessionId, Scope scope) {
        return scoped("DELETE", session(sessionId), scope).send(AckResponse.class);
    }

    private static WorkingMemory.Builder edit(Optional<WorkingMemoryResponse> found) {
        return found.isPresent() ? WorkingMemory.builder(found.get()) : WorkingMemory.builder().data(Map.of());
    }

    private WorkingMemoryResponse put(String sessionId, WorkingMemory workingMemory, String etag) {
        WorkingMemory scoped = WorkingMemory.builder(workingMemory)
                .namespace(namespace(workingMemory.getNamespace()))
                .build();
        Transport.Call call = window(transport.call("PUT", session(sessionId))).body(scoped);
        if (etag != null) {
            call.ifMatch(etag).once(); // done twice, it would be refused the second time
        }
        return call.send(WorkingMemoryResponse.class);
    }

    private Transport.Call window(Transport.Call call) {
        return call.query("model_name", defaults.modelName())
                .query("context_window_max", defaults.contextWindowMax());
    }

    private static String session(String sessionId) {
        return SESSIONS + Transport.encode(sessionId);
    }
}
