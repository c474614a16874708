"""Expressions in runbooks: sandboxed Jinja over plain JSON.

`{{ … }}` inside values, bare in `if` and `until`. What may be written is a short list (`grammar`), what runs sees JSON
and nothing else (`sandbox`), and everything is bounded. Text is what comes out; it is never parsed back into values.
"""

from engine.expressions.conditions import OPERATORS, holds
from engine.expressions.markup import render_markup, written_in
from engine.expressions.picks import is_pick
from engine.expressions.shown import (
    Held,
    held_name,
    held_names,
    made_of_secrets,
    reads_secrets,
    render_shown,
    secrets_read,
)
from engine.expressions.templates import (
    ExpressionError,
    MissingValue,
    asked,
    certain,
    check,
    evaluate,
    has_template,
    references,
    render,
    render_text,
)
from engine.expressions.urls import render_url

__all__ = [
    "OPERATORS",
    "ExpressionError",
    "Held",
    "MissingValue",
    "asked",
    "certain",
    "check",
    "evaluate",
    "has_template",
    "held_name",
    "held_names",
    "holds",
    "is_pick",
    "made_of_secrets",
    "reads_secrets",
    "references",
    "render",
    "render_markup",
    "render_shown",
    "render_text",
    "render_url",
    "secrets_read",
    "written_in",
]
