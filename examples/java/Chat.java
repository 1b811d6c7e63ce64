import com.fasterxml.jackson.databind.ObjectMapper;
import dev.agentmemory.client.MemoryAPIClient;
import dev.agentmemory.client.Scope;
import dev.agentmemory.client.model.*;
import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.time.Instant;
import java.util.*;

/**
 * A chat agent with memory: <code>java -cp (the client, Jackson) Chat.java maya</code>. Ctrl-D ends the conversation; the
 * next one remembers it. MEMORY_URL, MEMORY_NAMESPACE, OPENAI_API_KEY, OPENAI_BASE_URL and MODEL come from the environment.
 */
public class Chat {
    static final String MODEL = env("MODEL", "gpt-5-mini");
    static final String INSTRUCTIONS =
            "You are a helpful assistant. Use what you remember about the user when it matters.";
    static final ObjectMapper JSON = new ObjectMapper();
    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final MemoryAPIClient MEMORY = MemoryAPIClient.builder(env("MEMORY_URL", "http://localhost:8000"))
            .defaultNamespace(env("MEMORY_NAMESPACE", "chat"))
            .build();

    static String env(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    static Map<String, String> message(String role, String content) {
        return Map.of("role", role, "content", content);
    }

    static String complete(List<Map<String, String>> messages) throws Exception {
        String body = JSON.writeValueAsString(Map.of("model", MODEL, "messages", messages));
        URI uri = URI.create(env("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions");
        HttpRequest request = HttpRequest.newBuilder(uri)
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + env("OPENAI_API_KEY", ""))
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> response = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IOException(response.statusCode() + ": " + response.body());
        }
        return JSON.readTree(response.body()).at("/choices/0/message/content").asText();
    }

    /** What the model says, given the conversation so far and what is remembered from earlier ones. */
    static String answer(String session, Scope user, String said) throws Exception {
        List<Map<String, String>> messages = new ArrayList<>(List.of(message("system", INSTRUCTIONS)));
        MEMORY.hydration().memoryPrompt(MemoryPromptRequest.builder()
                .query(said)
                .session(PromptSession.builder().sessionId(session).userId(user.userId()).modelName(MODEL).build())
                .longTermSearch(SearchRequest.builder().text(said).userId(user.userId()).limit(5).build())
                .build()).getMessages().forEach(m -> messages.add(message(m.getRole(), m.getContent().getText())));
        String text = complete(messages);
        MEMORY.workingMemory().appendMessagesToWorkingMemory(session, List.of(
                MemoryMessage.builder().role("user").content(said).createdAt(Instant.now()).build(),
                MemoryMessage.builder().role("assistant").content(text).createdAt(Instant.now()).build()), user);
        return text;
    }

    public static void main(String[] args) throws Exception {
        Scope user = Scope.ofUser(args.length > 0 ? args[0] : "maya");
        String session = "chat-" + UUID.randomUUID();
        MEMORY.workingMemory().getOrCreateWorkingMemory(session, user);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            if (!line.isBlank()) {
                System.out.println(answer(session, user, line.strip()));
            }
        }
    }
}
