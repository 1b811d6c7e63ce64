package dev.agentmemory.client;

import dev.agentmemory.client.model.AckResponse;
import dev.agentmemory.client.model.CreateSummaryViewRequest;
import dev.agentmemory.client.model.SummaryView;
import dev.agentmemory.client.model.SummaryViewPartitionResult;
import dev.agentmemory.client.model.Task;
import java.util.List;
import java.util.Map;

/** Standing summaries over long-term memory. */
public final class SummaryViewService extends Service {
    private static final String VIEWS = "/v1/summary-views";

    SummaryViewService(Transport transport, Defaults defaults) {
        super(transport, defaults);
    }

    public List<SummaryView> listSummaryViews() {
        return transport.call("GET", VIEWS).sendForList(SummaryView.class);
    }

    public SummaryView createSummaryView(CreateSummaryViewRequest request) {
        return transport.call("POST", VIEWS).body(request).once().send(SummaryView.class);
    }

    /** The view; MemoryNotFoundException when there is none. */
    public SummaryView getSummaryView(String viewId) {
        return transport.call("GET", view(viewId)).send(SummaryView.class);
    }

    public AckResponse deleteSummaryView(String viewId) {
        return transport.call("DELETE", view(viewId)).send(AckResponse.class);
    }

    /** Summarize one partition now. */
    public SummaryViewPartitionResult runSummaryViewPartition(String viewId, Map<String, String> group) {
        return transport.call("POST", view(viewId) + "/partitions/run")
                .body(Map.of("group", group))
                .send(SummaryViewPartitionResult.class);
    }

    public List<SummaryViewPartitionResult> listSummaryViewPartitions(String viewId) {
        return listSummaryViewPartitions(viewId, Scope.DEFAULT);
    }

    /** The partitions of a user or namespace; a view may span namespaces, so the default one does not narrow it. */
    public List<SummaryViewPartitionResult> listSummaryViewPartitions(String viewId, Scope scope) {
        return transport.call("GET", view(viewId) + "/partitions")
                .query("namespace", scope.namespace())
                .query("user_id", scope.userId())
                .sendForList(SummaryViewPartitionResult.class);
    }

    /** Summarize all partitions in the background; see {@link TaskService#waitForTask}. */
    public Task runSummaryView(String viewId) {
        return transport.call("POST", view(viewId) + "/run").body(Map.of()).once().send(Task.class);
    }

    private static String view(String viewId) {
        return VIEWS + "/" + Transport.encode(viewId);
    }
}
