package dev.agentmemory.client;

import dev.agentmemory.client.model.Task;
import java.time.Duration;
import java.time.Instant;

/** Background work. */
public final class TaskService extends Service {
    private static final long POLL_MILLIS = 250;

    TaskService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    /** The task; MemoryNotFoundException when there is none (any more). */
    public Task getTask(String taskId) {
        return transport.call("GET", "/v1/tasks/" + Transport.encode(taskId)).send(Task.class);
    }

    /** Ask for a task until it has ended, in success or failure. */
    public Task waitForTask(String taskId, Duration timeout) {
        Instant deadline = Instant.now().plus(timeout);
        while (true) {
            Task task = getTask(taskId);
            if (task.hasEnded()) {
                return task;
            }
            if (Instant.now().isAfter(deadline)) {
                throw new MemoryClientException("Task " + taskId + " is still " + task.getStatus());
            }
            Transport.sleep(POLL_MILLIS);
        }
    }
}
