package dev.agentmemory.client.model;

import java.time.Instant;

/** Conditions on a field of times; all of them must hold. */
public class TimeFilter {
    private Instant eq;
    private Instant ne;
    private Instant gt;
    private Instant gte;
    private Instant lt;
    private Instant lte;

    TimeFilter() {}

    public static Builder builder() {
        return new Builder(new TimeFilter());
    }

    public Instant getEq() {
        return eq;
    }

    public Instant getNe() {
        return ne;
    }

    public Instant getGt() {
        return gt;
    }

    public Instant getGte() {
        return gte;
    }

    public Instant getLt() {
        return lt;
    }

    public Instant getLte() {
        return lte;
    }

    /** Builds once. */
    public static final class Builder {
        private TimeFilter made;

        private Builder(TimeFilter made) {
            this.made = made;
        }

        public Builder eq(Instant eq) {
            made.eq = eq;
            return this;
        }

        public Builder ne(Instant ne) {
            made.ne = ne;
            return this;
        }

        public Builder gt(Instant gt) {
            made.gt = gt;
            return this;
        }

        public Builder gte(Instant gte) {
            made.gte = gte;
            return this;
        }

        public Builder lt(Instant lt) {
            made.lt = lt;
            return this;
        }

        public Builder lte(Instant lte) {
            made.lte = lte;
            return this;
        }

        public TimeFilter build() {
            TimeFilter built = made;
            made = null;
            return built;
        }
    }
}
