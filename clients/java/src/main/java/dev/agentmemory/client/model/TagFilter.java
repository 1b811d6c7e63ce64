package dev.agentmemory.client.model;

import java.util.List;

/** Conditions on a field of names; all of them must hold. */
public class TagFilter {
    private String eq;
    private String ne;
    private List<String> any;
    private List<String> all;
    private List<String> none;
    private String startswith;

    TagFilter() {}

    public static Builder builder() {
        return new Builder(new TagFilter());
    }

    /** Equal to a name. */
    public static TagFilter equalTo(String name) {
        return name == null ? null : builder().eq(name).build();
    }

    /** One of several names. */
    public static TagFilter anyOf(List<String> names) {
        return names == null ? null : builder().any(names).build();
    }

    public String getEq() {
        return eq;
    }

    public String getNe() {
        return ne;
    }

    public List<String> getAny() {
        return any;
    }

    public List<String> getAll() {
        return all;
    }

    public List<String> getNone() {
        return none;
    }

    public String getStartswith() {
        return startswith;
    }

    /** Builds once. */
    public static final class Builder {
        private TagFilter made;

        private Builder(TagFilter made) {
            this.made = made;
        }

        public Builder eq(String eq) {
            made.eq = eq;
            return this;
        }

        public Builder ne(String ne) {
            made.ne = ne;
            return this;
        }

        public Builder any(List<String> any) {
            made.any = any;
            return this;
        }

        public Builder all(List<String> all) {
            made.all = all;
            return this;
        }

        public Builder none(List<String> none) {
            made.none = none;
            return this;
        }

        public Builder startswith(String startswith) {
            made.startswith = startswith;
            return this;
        }

        public TagFilter build() {
            TagFilter built = made;
            made = null;
            return built;
        }
    }
}
