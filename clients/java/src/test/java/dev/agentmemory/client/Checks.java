package dev.agentmemory.client;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** A test runner in a page: the client has one dependency, and its tests have no other. */
final class Checks {
    interface Check {
        void run() throws Exception;
    }

    private final Map<String, Check> checks = new LinkedHashMap<>();

    void add(String sentence, Check check) {
        checks.put(sentence, check);
    }

    /** Run all, say how each ended, and exit with 1 if one failed. */
    void run() {
        int failed = 0;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            try {
                check.getValue().run();
                System.out.println("ok " + check.getKey());
            } catch (Throwable problem) {
                failed++;
                System.out.println("not ok " + check.getKey());
                problem.printStackTrace(System.out);
            }
        }
        System.out.println(checks.size() - failed + " of " + checks.size());
        System.exit(failed == 0 ? 0 : 1);
    }

    static void equal(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + " but was " + actual);
        }
    }

    static void that(boolean holds, Object otherwise) {
        if (!holds) {
            throw new AssertionError(String.valueOf(otherwise));
        }
    }

    static <E extends Exception> E raises(Class<E> type, Check check) throws Exception {
        try {
            check.run();
        } catch (Exception raised) {
            if (type.isInstance(raised)) {
                return type.cast(raised);
            }
            throw raised;
        }
        throw new AssertionError("did not raise " + type.getSimpleName());
    }
}
