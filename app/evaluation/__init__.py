"""Measuring retrieval: query sets, figures, comparison of configurations. Behind `agent-memory eval`."""
