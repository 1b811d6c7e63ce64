"""What the client's own prompt asks for. Needs a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.memory.extraction.base import Extractor, PlainStrategy
from app.memory.models import Candidate, ExtractionWindow
from app.memory.safety import fill_prompt, prompt_problems

NEEDS_MODEL = "the custom strategy needs a language model; set OPENAI_API_KEY or OPENAI_BASE_URL"
# Where a prompt says {message}, the conversation follows as data; it never becomes part of the instructions.
_MESSAGE = "the conversation below"


class Custom(PlainStrategy):
    """The client's prompt, checked when the session is put and framed as a description of what is wanted."""

    name = "custom"
    version = "custom-1"

    def problems(self, config: Mapping[str, Any], *, with_model: bool) -> list[str]:
        """No model, no prompt, or an unsafe one (wire contract 6.4)."""
        if not with_model:
            return [NEEDS_MODEL]
        return prompt_problems(config.get("custom_prompt"), [key for key in config if key != "custom_prompt"])

    def distil(self, window: ExtractionWindow, extractor: Extractor) -> list[Candidate]:
        """What the model makes of the prompt."""
        config = window.strategy.config
        # A prompt that was stored before its rule existed, or by another process without a model, is not obeyed.
        if self.problems(config, with_model=extractor.backend == "llm"):
            return []
        latest = max((m.created_at for m in window.new), default=None)
        values = {key: str(value) for key, value in config.items() if key != "custom_prompt"}
        values |= {
            "message": _MESSAGE,
            "current_datetime": f"{latest:%A, %B %d, %Y at %I:%M %p}" if latest else "",
            "session_id": window.session.session_id,
            "namespace": window.session.scope.namespace or "",
            "user_id": window.session.scope.user_id or "",
            "context": window.summary or "",
            "model_name": extractor.model_id,
        }
        wanted = fill_prompt(str(config["custom_prompt"]), values)
        return extractor.extract(window, f"Wanted, in the words of the application:\n{wanted}")
