package dev.agentmemory.client;

import dev.agentmemory.client.model.MemoryPromptRequest;
import dev.agentmemory.client.model.MemoryPromptResponse;
import dev.agentmemory.client.model.PromptSession;
import dev.agentmemory.client.model.SearchRequest;

/** Prompts composed from memory. */
public final class MemoryHydrationService extends Service {
    MemoryHydrationService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    /** The messages to answer with: summary, conversation, related memories, the query. */
    public MemoryPromptResponse memoryPrompt(MemoryPromptRequest request) {
        MemoryPromptRequest scoped = MemoryPromptRequest.builder()
                .query(request.getQuery())
                .session(session(request.getSession()))
                .longTermSearch(LongTermMemoryService.inNamespace(request.getLongTermSearch(), defaults.namespace()))
                .build();
        return transport.call("POST", "/v1/memory/prompt").body(scoped).send(MemoryPromptResponse.class);
    }

    /** The same, with long-term memories only. */
    public MemoryPromptResponse hydrateMemoryPrompt(String query, SearchRequest search) {
        return memoryPrompt(MemoryPromptRequest.builder().query(query).longTermSearch(search).build());
    }

    private PromptSession session(PromptSession given) {
        if (given == null) {
            return null;
        }
        PromptSession.Builder session = PromptSession.builder(given).namespace(namespace(given.getNamespace()));
        if (given.getModelName() == null && given.getContextWindowMax() == null) {
            session.modelName(defaults.modelName()).contextWindowMax(defaults.contextWindowMax());
        }
        return session.build();
    }
}
