"""Refusals and accidents, as one person sees them."""

from __future__ import annotations

from bot.grammar import GrammarError
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code, escape
from engine.errors import EngineError, InvalidDefinition, InvalidParameters


def refusal(error: EngineError) -> Message:
    """The engine's sentence; parameters and problems one a line."""
    if isinstance(error, InvalidParameters):
        lines = [
            f"• {code(name, 100)}: {escape(why, 300)}" if name else f"• {escape(why, 300)}"
            for name, why in error.fields.items()
        ]
        hint = f"Write each as {code('name=value')}, the value in quotes where it has spaces."
        return said("\n".join(["The parameters do not fit:", *lines[:20], hint]))
    if isinstance(error, InvalidDefinition):
        return said("\n".join(code(str(problem), 300) for problem in error.problems[:8]))
    return said(escape(str(error), 2500))


def misunderstood(error: GrammarError, command: str) -> Message:
    """Why the words were not understood, and what to type."""
    return said(f"{escape(str(error), 600)}\nType {code(f'{command} {error.usage}')}.")


def accident(error_id: str) -> Message:
    """Something that should not have happened; the id finds it in the log."""
    return said(f"Something went wrong here, and it is not your doing. In the log it is {code(error_id)}.")
