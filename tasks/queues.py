"""The queues, by what limits the work in them."""

from __future__ import annotations

import enum


class Queue(enum.StrEnum):
    """`llm` waits for the network, `ml` needs a processor and loaded models, `store` is short Redis work."""

    LLM = "llm"
    ML = "ml"
    STORE = "store"
