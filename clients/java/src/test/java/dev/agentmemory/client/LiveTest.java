package dev.agentmemory.client;

import static dev.agentmemory.client.Checks.equal;
import static dev.agentmemory.client.Checks.raises;
import static dev.agentmemory.client.Checks.that;

import dev.agentmemory.client.model.CreateResponse;
import dev.agentmemory.client.model.CreateSummaryViewRequest;
import dev.agentmemory.client.model.ForgetResponse;
import dev.agentmemory.client.model.MemoryMessage;
import dev.agentmemory.client.model.MemoryPromptRequest;
import dev.agentmemory.client.model.MemoryPromptResponse;
import dev.agentmemory.client.model.MemoryRecord;
import dev.agentmemory.client.model.MemoryRecordResult;
import dev.agentmemory.client.model.MemoryRecordResults;
import dev.agentmemory.client.model.MemoryType;
import dev.agentmemory.client.model.PromptSession;
import dev.agentmemory.client.model.SearchRequest;
import dev.agentmemory.client.model.SummaryView;
import dev.agentmemory.client.model.SummaryViewPartitionResult;
import dev.agentmemory.client.model.TagFilter;
import dev.agentmemory.client.model.Task;
import dev.agentmemory.client.model.TimeFilter;
import dev.agentmemory.client.model.WorkingMemory;
import dev.agentmemory.client.model.WorkingMemoryResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/** Every method against a running server, whose URL is the argument. */
public final class LiveTest {
    private static final Scope MAYA = Scope.ofUser("maya");

    public static void main(String[] args) {
        String url = args[0];
        String namespace = "java-" + UUID.randomUUID();
        MemoryAPIClient client = MemoryAPIClient.builder(url).defaultNamespace(namespace).build();
        WorkingMemoryService sessions = client.workingMemory();
        LongTermMemoryService memories = client.longTermMemory();
        Checks checks = new Checks();

        checks.add("answers a health check", () -> {
            long now = client.health().healthCheck().getNow();
            that(Math.abs(now - System.currentTimeMillis()) < 60_000, now);
        });
        checks.add("keeps sessions", () -> {
            String id = "a/session with ü";
            raises(MemoryNotFoundException.class, () -> sessions.getWorkingMemory(id));
            WorkingMemoryService.WorkingMemoryResult made = sessions.getOrCreateWorkingMemory(id, MAYA);
            equal(true, made.created());
            equal(namespace, made.memory().getNamespace());

            Instant at = Instant.parse("2026-11-24T10:00:00.123456Z");
            sessions.putWorkingMemory(id, WorkingMemory.builder()
                    .userId("maya")
                    .messages(List.of(MemoryMessage.builder().role("user").content("Hello!").createdAt(at).build()))
                    .data(Map.of("theme", "dark"))
                    .ttlSeconds(3600)
                    .build());
            List<String> added = sessions.appendMessagesToWorkingMemory(
                    id, List.of(MemoryMessage.builder().role("assistant").content("Hi there!").build()), MAYA)
                    .getMessageIds();
            WorkingMemoryResponse stored = sessions.getWorkingMemory(id, MAYA);
            equal(List.of("Hello!", "Hi there!"), stored.getMessages().stream().map(MemoryMessage::getContent).toList());
            equal(at, stored.getMessages().get(0).getCreatedAt());
            equal(added.get(0), stored.getMessages().get(1).getId());
            equal(List.of(id), sessions.listSessions(MAYA, 5, 0).getSessions());

            WorkingMemoryResponse changed = sessions.setWorkingMemoryData(id, Map.of("lang", "pt"), MAYA);
            equal(Map.of("theme", "dark", "lang", "pt"), changed.getData());
            equal(2, changed.getMessages().size());
            equal("ok", sessions.deleteWorkingMemory(id, MAYA).getStatus());
            raises(MemoryNotFoundException.class, () -> sessions.getWorkingMemory(id, MAYA));
        });
        checks.add("loses no change of writers at once", () -> {
            List<CompletableFuture<Void>> writers = IntStream.range(0, 5)
                    .mapToObj(i -> CompletableFuture.runAsync(
                            () -> sessions.setWorkingMemoryData("shared", Map.of("key" + i, i), Scope.DEFAULT)))
                    .toList();
            CompletableFuture.allOf(writers.toArray(CompletableFuture[]::new)).join();
            equal(5, sessions.getWorkingMemory("shared").getData().size());
        });
        checks.add("creates, finds, changes and deletes memories", () -> {
            CreateResponse created = memories.createLongTermMemories(List.of(
                    MemoryRecord.builder().text("Maya likes window seats on trains").userId("maya")
                            .topics(List.of("travel")).memoryType(MemoryType.SEMANTIC).build(),
                    MemoryRecord.builder().text("Tom is allergic to peanuts").userId("tom")
                            .topics(List.of("health")).metadata(Map.of("source", "form")).build()));
            String maya = created.getResults().get(0).getMemoryId();
            String tom = created.getResults().get(1).getMemoryId();
            equal(maya, memories.searchLongTermMemories("where does she sit on a train?").getMemories().get(0).getId());
            MemoryRecordResults found = memories.searchLongTermMemories(SearchRequest.builder()
                    .text("peanuts")
                    .searchMode("hybrid")
                    .userId("tom")
                    .topics(TagFilter.builder().any(List.of("health", "food")).none(List.of("travel")).build())
                    .createdAt(TimeFilter.builder().gte(Instant.now().minusSeconds(3600)).build())
                    .limit(5)
                    .build());
            equal(List.of(tom), found.getMemories().stream().map(MemoryRecord::getId).toList());
            MemoryRecordResult hit = found.getMemories().get(0);
            equal("hybrid", hit.getScoreType());
            equal("form", hit.getMetadata().get("source")); // the server may add to it
            equal(MemoryType.SEMANTIC, hit.getMemoryType());
            equal(0, memories.searchLongTermMemories(
                    SearchRequest.builder().text("peanuts").namespace("nowhere-" + namespace).build()).getTotal());

            equal("Tom is allergic to walnuts",
                    memories.editLongTermMemory(tom, Map.of("text", "Tom is allergic to walnuts", "pinned", true)).getText());
            equal(true, memories.getLongTermMemory(tom).getPinned());
            ForgetResponse forgotten = memories.forgetLongTermMemories(Map.of("max_age_days", 1));
            equal(true, forgotten.getDryRun());
            equal(0, forgotten.getDeleted());
            that(memories.compactLongTermMemories(Scope.DEFAULT).getStatus().contains("2 memories remaining"), "count");
            that(memories.deleteLongTermMemories(List.of(maya, tom, "unknown")).getStatus().contains("deleted 2"), "count");
            raises(MemoryNotFoundException.class, () -> memories.getLongTermMemory(maya));
        });
        checks.add("pages through everything, and creates it in batches", () -> {
            MemoryAPIClient own = MemoryAPIClient.builder(url).defaultNamespace(namespace + "-pages").build();
            List<MemoryRecord> lockers = new ArrayList<>();
            for (int i = 0; i < 25; i++) {
                lockers.add(MemoryRecord.builder().id("locker-" + i).text("Locker " + i + " is number " + i * 7).build());
            }
            equal(3, own.longTermMemory().bulkCreateLongTermMemories(List.of(lockers), 10, 0).size());
            long seen = own.longTermMemory()
                    .searchAllLongTermMemories(SearchRequest.builder().text("locker").recencyBoost(false).build(), 10) // age reorders pages
                    .map(MemoryRecord::getId)
                    .distinct()
                    .count();
            equal((long) own.longTermMemory().searchLongTermMemories("locker").getTotal(), seen);
            that(seen > 10, seen);
        });
        checks.add("promotes structured memories and hydrates a prompt", () -> {
            sessions.putWorkingMemory("s", WorkingMemory.builder()
                    .userId("maya")
                    .messages(List.of(MemoryMessage.builder().role("user").content("I am back.").build()))
                    .build());
            sessions.addMemoriesToWorkingMemory("s", List.of(
                    MemoryRecord.builder().text("Maya lives in Lisbon").memoryType(MemoryType.SEMANTIC).build()), MAYA);
            equal("ok", client.promoteWorkingMemoriesToLongTerm("s", null, MAYA).getStatus());
            MemoryPromptResponse prompt = client.hydration().memoryPrompt(MemoryPromptRequest.builder()
                    .query("Where does Maya live?")
                    .session(PromptSession.builder().sessionId("s").userId("maya").build())
                    .longTermSearch(SearchRequest.builder().text("Where does Maya live?").userId("maya").build())
                    .build());
            StringBuilder said = new StringBuilder();
            prompt.getMessages().forEach(m -> said.append(m.getContent().getText()).append('\n'));
            that(said.toString().contains("I am back."), said);
            that(said.toString().contains("Lisbon"), said);
        });
        checks.add("summarizes by view", () -> {
            MemoryAPIClient own = MemoryAPIClient.builder(url).defaultNamespace(namespace + "-views").build();
            own.longTermMemory().createLongTermMemories(
                    List.of(MemoryRecord.builder().text("Maya plays the cello").userId("maya").build()));
            SummaryView view = own.summaryViews().createSummaryView(CreateSummaryViewRequest.builder()
                    .name("per user").source("long_term").groupBy(List.of("user_id"))
                    .filters(new HashMap<>(Map.of("namespace", namespace + "-views"))).build());
            equal("per user", own.summaryViews().getSummaryView(view.getId()).getName());
            that(own.summaryViews().listSummaryViews().stream().anyMatch(v -> v.getId().equals(view.getId())), "not listed");
            SummaryViewPartitionResult partition =
                    own.summaryViews().runSummaryViewPartition(view.getId(), Map.of("user_id", "maya"));
            that(partition.getSummary().contains("cello"), partition.getSummary());
            Task task = own.tasks().waitForTask(
                    own.summaryViews().runSummaryView(view.getId()).getId(), Duration.ofSeconds(60));
            equal("success", task.getStatus());
            equal(1, own.summaryViews().listSummaryViewPartitions(view.getId(), MAYA).size());
            own.summaryViews().deleteSummaryView(view.getId());
            raises(MemoryNotFoundException.class, () -> own.summaryViews().getSummaryView(view.getId()));
        });
        checks.add("checks values before sending them, and says what the server refuses", () -> {
            raises(MemoryValidationException.class,
                    () -> client.validateMemoryRecord(MemoryRecord.builder().text(" ").build()));
            raises(MemoryValidationException.class,
                    () -> client.validateMemoryRecord(MemoryRecord.builder().text("x").id("short").build()));
            MemoryServerException error = raises(MemoryServerException.class, () -> memories.searchLongTermMemories(
                    SearchRequest.builder().text("x").limit(1000).build()));
            equal(422, error.getStatusCode());
            that(error.getMessage().startsWith("body.limit: "), error.getMessage());
        });
        checks.run();
    }
}
