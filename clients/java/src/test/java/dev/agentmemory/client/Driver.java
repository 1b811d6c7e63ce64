package dev.agentmemory.client;

import com.fasterxml.jackson.databind.JsonNode;
import dev.agentmemory.client.model.CreateSummaryViewRequest;
import dev.agentmemory.client.model.MemoryMessage;
import dev.agentmemory.client.model.MemoryPromptRequest;
import dev.agentmemory.client.model.MemoryRecord;
import dev.agentmemory.client.model.PromptSession;
import dev.agentmemory.client.model.SearchRequest;
import dev.agentmemory.client.model.SummaryView;
import dev.agentmemory.client.model.WorkingMemory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Takes steps through the Java client: JSON steps on stdin, a JSON result for each on stdout. */
public final class Driver {
    private final MemoryAPIClient client;
    private String view = "";

    private Driver(MemoryAPIClient client) {
        this.client = client;
    }

    public static void main(String[] args) throws Exception {
        Driver driver = new Driver(MemoryAPIClient.builder(args[0]).defaultNamespace(args[1]).build());
        List<Object> results = new ArrayList<>();
        for (JsonNode step : Json.MAPPER.readTree(System.in)) {
            try {
                results.add(driver.take(step.get(0).asText(), step.get(1)));
            } catch (MemoryServerException e) {
                results.add(Map.of("error", e.getStatusCode()));
            }
        }
        System.out.println(Json.MAPPER.writeValueAsString(results));
    }

    private Object take(String step, JsonNode given) {
        WorkingMemoryService sessions = client.workingMemory();
        LongTermMemoryService memories = client.longTermMemory();
        String id = given.path("id").asText();
        return switch (step) {
            case "health" -> client.health().healthCheck();
            case "get_or_create" -> sessions.getOrCreateWorkingMemory(id).memory();
            case "put" -> sessions.putWorkingMemory(id, as(given.get("session"), WorkingMemory.class));
            case "set_data" -> sessions.setWorkingMemoryData(id, map(given.get("data")), Scope.DEFAULT);
            case "append" -> sessions.appendMessagesToWorkingMemory(
                    id, list(given.get("messages"), MemoryMessage.class), Scope.DEFAULT);
            case "add_memories" -> sessions.addMemoriesToWorkingMemory(id, records(given), Scope.DEFAULT);
            case "promote" -> client.promoteWorkingMemoriesToLongTerm(id);
            case "list_sessions" -> sessions.listSessions(
                    Scope.DEFAULT, given.get("limit").asInt(), given.get("offset").asInt());
            case "delete_session" -> sessions.deleteWorkingMemory(id);
            case "create" -> memories.createLongTermMemories(records(given));
            case "bulk" -> memories.bulkCreateLongTermMemories(List.of(records(given)), given.get("batch").asInt(), 0);
            case "search" -> memories.searchLongTermMemories(as(given.get("request"), SearchRequest.class));
            case "search_all" -> memories.searchAllLongTermMemories(
                    as(given.get("request"), SearchRequest.class), given.get("batch").asInt()).toList();
            case "get" -> memories.getLongTermMemory(id);
            case "edit" -> memories.editLongTermMemory(id, map(given.get("updates")));
            case "delete" -> memories.deleteLongTermMemories(list(given.get("ids"), String.class));
            case "forget" -> memories.forgetLongTermMemories(map(given.get("policy")));
            case "prompt" -> client.hydration().memoryPrompt(MemoryPromptRequest.builder()
                    .query(given.get("query").asText())
                    .session(PromptSession.builder().sessionId(given.get("session").asText()).build())
                    .longTermSearch(as(given.get("search"), SearchRequest.class))
                    .build());
            case "create_view" -> {
                SummaryView made =
                        client.summaryViews().createSummaryView(as(given.get("view"), CreateSummaryViewRequest.class));
                view = made.getId();
                yield made;
            }
            case "get_view" -> client.summaryViews().getSummaryView(view);
            case "list_views" -> client.summaryViews().listSummaryViews().stream()
                    .filter(v -> v.getId().equals(view))
                    .toList();
            case "run_partition" -> client.summaryViews().runSummaryViewPartition(view, strings(given.get("group")));
            case "list_partitions" -> client.summaryViews().listSummaryViewPartitions(view);
            case "run_view" -> client.tasks().waitForTask(
                    client.summaryViews().runSummaryView(view).getId(), Duration.ofSeconds(60));
            case "delete_view" -> client.summaryViews().deleteSummaryView(view);
            case "get_task" -> client.tasks().getTask(id);
            default -> throw new IllegalArgumentException(step);
        };
    }

    private static List<MemoryRecord> records(JsonNode given) {
        return list(given.get("memories"), MemoryRecord.class);
    }

    private static <T> T as(JsonNode node, Class<T> type) {
        return Json.MAPPER.convertValue(node, type);
    }

    private static <T> List<T> list(JsonNode node, Class<T> type) {
        List<T> values = new ArrayList<>();
        node.forEach(item -> values.add(as(item, type)));
        return values;
    }

    private static Map<String, Object> map(JsonNode node) {
        return Json.MAPPER.convertValue(
                node, Json.MAPPER.getTypeFactory().constructMapType(Map.class, String.class, Object.class));
    }

    private static Map<String, String> strings(JsonNode node) {
        return Json.MAPPER.convertValue(
                node, Json.MAPPER.getTypeFactory().constructMapType(Map.class, String.class, String.class));
    }
}
