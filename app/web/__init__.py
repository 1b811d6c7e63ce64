"""The memory explorer: a page over the public API, for people."""
