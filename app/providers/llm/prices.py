"""Prices of models, for the ledger: list prices of a few, and whatever the deployment sets."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from app.config import Settings


@lru_cache(maxsize=1)
def _list_prices() -> dict[str, list[float]]:
    prices: dict[str, list[float]] = json.loads(files("app.providers").joinpath("data/llm_prices.json").read_text())
    return prices


def cost_of(settings: Settings, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """US dollars of a call; None when the model's price is not known. Prices are per million tokens."""
    price = settings.llm_prices.get(model) or _list_prices().get(model)
    if not price or len(price) != 2:
        return None
    return (prompt_tokens * price[0] + completion_tokens * price[1]) / 1_000_000
