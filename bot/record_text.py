"""What is on record of a run as plain text: its tries with what was sent and what came back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.event_text import DECIDED
from bot.parameter_change_text import change_words
from engine.text.visible_characters import visible_line

if TYPE_CHECKING:
    from engine.queries.evidence import RunLog, StepLog
    from storage.records import AttemptRecord, EventRecord

_SHORT = 2_000


def log_text(log: RunLog) -> str:
    """The whole log, step by step, times in UTC."""
    run = log.execution
    head = f"{run.id}  {run.slug}@{run.number}  {run.status}  started by {run.requester}"
    parts = [[head], *([_event(each) for each in log.events] for _ in range(bool(log.events))), *map(_step, log.steps)]
    return "\n\n".join("\n".join(map(visible_line, part)) for part in parts) + "\n"


def _step(log: StepLog) -> list[str]:
    step = log.step
    lines = [f"== {step.path} ({step.kind}) {step.status}" + (f": {step.note}" if step.note else "")]
    lines += [_event(each) for each in log.events]
    before = 0
    for each in log.attempts:
        if each.number > before + 1:
            lines.append(f"-- tries {before + 1} to {each.number - 1} are not kept")
        lines += _attempt(each)
        before = each.number
    return lines


def _event(event: EventRecord) -> str:
    by = f" by {event.actor}" if event.actor else ""
    return f"{_time(event.at)}  {event.kind}{by}{_facts(event.data)}"


def _facts(data: Any) -> str:
    told = {key: _said(key, value) for key, value in (data or {}).items() if value not in (None, "", [], {}, False)}
    return f"  {_json(told)}" if told else ""


def _said(name: str, value: Any) -> Any:
    """A fact as people say it: a vote as what it was, changed parameters as what they were and are."""
    if name == "decision":
        return DECIDED.get(value, value)
    return change_words(value) if name == "changes" else value


def _attempt(attempt: AttemptRecord) -> Iterator[str]:
    took = f" after {attempt.ended_at - attempt.started_at} ms" if attempt.ended_at is not None else ""
    yield f"-- try {attempt.number}, {_time(attempt.started_at)}: {attempt.status}{took}"
    for mark, part in ((">", attempt.request), ("<", attempt.response)):
        yield from (f"   {mark} {line}" for line in _message(part))
    if isinstance(attempt.error, dict) and attempt.error.get("message"):
        yield f"   ! {attempt.error.get('code', '')}: {attempt.error['message']}"


def _message(part: Any) -> Iterator[str]:
    """A request or an answer: what it is in one line, its headers, its body."""
    if not isinstance(part, dict):
        return
    yield " ".join(
        str(part[key])
        for key in ("status", "code", "target", "service", "method", "url")
        if part.get(key) not in (None, "")
    )
    for name, value in (part.get("headers") or part.get("metadata") or {}).items():
        yield f"{name}: {value}"
    body = part.get("body", part.get("message"))
    if body not in (None, ""):
        yield from (body if isinstance(body, str) else _json(body)).splitlines()
    if part.get("digest") and body not in (None, ""):
        yield f"({part['digest']})"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
