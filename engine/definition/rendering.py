"""A step's `with`, rendered as its kind has it: for the real call, for what is kept of that, and for a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import Step
from engine.expressions import (
    ExpressionError,
    Held,
    reads_secrets,
    render,
    render_markup,
    render_shown,
    render_text,
    render_url,
)
from storage.records import Json

_TARGET_SCHEME = "https://"
"""What makes a URL of a target, so that one set of rules says what may stand in a host."""


def target_as_url(target: str) -> str:
    """A gRPC target written as a URL, so that one rule judges the hosts of both."""
    return _TARGET_SCHEME + target


def _render_target(target: str, context: Mapping[str, Json]) -> str:
    return render_url(target_as_url(target), context).removeprefix(_TARGET_SCHEME)


_RENDER: Mapping[Treatment, Callable[..., Json]] = {
    Treatment.URL: render_url,
    Treatment.TARGET: _render_target,
    Treatment.TEXT: render_text,
    Treatment.MARKUP: render_markup,
    Treatment.DATA: render,
}
_RENDER_KNOWN = {**_RENDER, Treatment.MARKUP: render_text}
"""The same for a gate, which shows markup as its author wrote it."""


def render_with(step: Step, context: Mapping[str, Json]) -> dict[str, Json]:
    """A step's `with`, rendered once, ready for the kind to act on; conditions and fixed keys as they are.

    `context` holds params, steps, incident, execution, runbook and, for the real call, secrets. Raises ExpressionError.
    """
    kind = kind_of(step)
    return {
        key: render_as(value, context) if (render_as := _RENDER.get(kind.treatment(key))) else value
        for key, value in step.with_.items()
    }


def secret_parts(step: Step, held: Held = frozenset()) -> dict[str, Json]:
    """Those keys of a step's `with` in which secrets stand, or outputs that are `held` as such, not rendered."""
    secret_keys = kind_of(step).secret_keys
    return {key: value for key, value in step.with_.items() if key in secret_keys and reads_secrets(value, held)}


def render_with_secrets(
    step: Step, context: Mapping[str, Json], secret: Mapping[str, Json], held: Held
) -> dict[str, Json]:
    """`render_with`, its secret parts in the context that holds the `secret` values. Raises alike."""
    parts = secret_parts(step, held)
    rest = replace(step, with_={key: value for key, value in step.with_.items() if key not in parts})
    return {**render_with(rest, context), **render_with(replace(step, with_=parts), secret)}


def render_with_marks(step: Step, context: Mapping[str, Json], held: Held = frozenset()) -> dict[str, Json]:
    """`render_with` with marks for whatever is made of secrets: what may be shown of a call. Raises alike."""
    shown = {key: render_shown(value, context, held) for key, value in secret_parts(step, held).items()}
    rest = replace(step, with_={key: value for key, value in step.with_.items() if key not in shown})
    return {**render_with(rest, context), **shown}


def render_known(step: Step, context: Mapping[str, Json]) -> dict[str, Json]:
    """What a gate shows of a step's `with`: each leaf rendered by itself, or as written if `context` is too little."""
    kind = kind_of(step)
    return {
        key: _known(step.with_[key], _RENDER_KNOWN.get(kind.treatment(key)), context)
        for key in kind.shown
        if key in step.with_
    }


def render_planned(
    step: Step, context: Mapping[str, Json], is_open: Callable[[str], bool], held: Held = frozenset()
) -> dict[str, Json]:
    """What a plan shows of a step's `with`: as `render_with_marks` gives it, but each text that `is_open` as written.

    Raises alike.
    """
    kind = kind_of(step)
    return {
        key: _planned(step.with_[key], _RENDER.get(kind.treatment(key)), context, is_open, held)
        for key in kind.shown
        if key in step.with_
    }


def _planned(
    value: Json,
    render_as: Callable[..., Json] | None,
    context: Mapping[str, Json],
    is_open: Callable[[str], bool],
    held: Held,
) -> Json:
    if isinstance(value, dict):
        return {key: _planned(item, render_as, context, is_open, held) for key, item in value.items()}
    if isinstance(value, list):
        return [_planned(item, render_as, context, is_open, held) for item in value]
    if render_as is None or not isinstance(value, str) or is_open(value):
        return value
    return render_shown(value, context, held) if reads_secrets(value, held) else render_as(value, context)


def _known(value: Json, render_as: Callable[..., Json] | None, context: Mapping[str, Json]) -> Json:
    if isinstance(value, dict):
        return {key: _known(item, render_as, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item, render_as, context) for item in value]
    if render_as is None or not isinstance(value, str):
        return value
    try:
        return render_shown(value, context) if reads_secrets(value) else render_as(value, context)
    except ExpressionError:
        return value
