"""Generation through any OpenAI-compatible endpoint."""

from app.providers.llm.client import Gate, Ledger, OpenAIGenerator

__all__ = ["Gate", "Ledger", "OpenAIGenerator"]
