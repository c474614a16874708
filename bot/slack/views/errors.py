"""Refusals and accidents, as one person sees them."""

from __future__ import annotations

from pathlib import PurePath

from bot import help_text
from bot.grammar import GrammarError
from bot.slack.views.frozen import frozen_words
from bot.slack.views.parts import Message, message, said, section
from bot.slack.views.text import code, escape, inline
from bot.slack.views.why import people
from bot.typed_hints import typed_here
from bot.verbs import VERBS
from engine.errors import EngineError, Frozen, InvalidDefinition, InvalidParameters, NotAllowed
from engine.text.problem import Problem


def refusal(error: EngineError, command: str) -> Message:
    """The engine's sentence, and whom to ask instead; parameters and problems one a line.

    `command` is put before a verb that is hinted at.
    """
    text = refused(error, command)
    return message(text, [section(text)])


def refused(error: EngineError, command: str) -> str:
    """The same as text."""
    if isinstance(error, InvalidParameters):
        lines = [
            f"• {code(name, 100)}: {escape(why, 300)}" if name else f"• {escape(why, 300)}"
            for name, why in ((name, typed_here(said, command)) for name, said in error.fields.items())
        ]
        hint = f"Write each as {code('name=value')}, the value in quotes where it has spaces."
        return "\n".join([f"The {error.about} do not fit:", *lines[:20], hint])
    if isinstance(error, InvalidDefinition):
        return "\n".join(problem_line(problem) for problem in error.problems[:8])
    text = typed_here(str(error), command)
    sentence = frozen_words(text, 1500) if isinstance(error, Frozen) else escape(text, 2000)
    ask = error.ask if isinstance(error, NotAllowed) else ()
    return f"{sentence} Ask {people(ask)}." if ask else sentence


def problem_line(problem: Problem) -> str:
    """One thing wrong with a file, as mrkdwn: the file by its bare name, where in it, and what."""
    mark = "warning: " if problem.severity == "warning" else ""
    name = code(PurePath(problem.file).name, 100)
    return f"{name} line {problem.line}, column {problem.column}: {mark}{inline(problem.message, 400)}"


def misunderstood(error: GrammarError, command: str) -> Message:
    """Why the words were not understood, and what to type, with an example of it."""
    meant = next((verb for verb in VERBS if verb.usage == error.usage and verb.usage != verb.name), None)
    example = f", for example {code(f'{command} {help_text.example_of(meant)}')}" if meant else ""
    return said(f"{escape(str(error), 600)}\nType {code(f'{command} {error.usage}')}{example}.")


def accident(error_id: str, why: str | None = None) -> Message:
    """Something that should not have happened, with `why` where that is known; the id finds it in the log."""
    return said(accident_text(error_id, why))


def accident_text(error_id: str, why: str | None = None) -> str:
    """The same as mrkdwn."""
    if why is not None:
        return f"This could not be done, and it is not your doing. {escape(why, 500)}"
    return f"Something went wrong here, and it is not your doing. In the log it is {code(error_id)}."
