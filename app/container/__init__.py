"""The composition root: settings → store → providers → engine. The only place that wires them."""

from app.container.engine import Container, container, replace_container, reset

__all__ = ["Container", "container", "replace_container", "reset"]
