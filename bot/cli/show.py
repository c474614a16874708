"""What the API says, as lines for a terminal. Pure: from its JSON to text that can do nothing to who reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from bot import preview
from bot.cli.people_names import Names
from bot.duration_text import parts_words, run_parts, step_took
from bot.event_text import DECIDED
from bot.parameter_change_text import change_words
from bot.slack.views.text import cut, duration, one_line
from engine.definition.kinds import CONTAINERS, GATES, KINDS
from engine.text.visible_characters import visible_line
from storage.records import Json

SIGNS = {
    "SUCCESS": "✓", "FAILED": "✕", "CANCELLED": "–", "SKIPPED": "–", "RUNNING": "▶", "WAITING": "‖", "PAUSED": "‖",
    "UNKNOWN": "?", "READY": "○", "BLOCKED": "·", "PENDING": "○",
}  # fmt: skip
_STEP = {
    "SUCCESS": "done", "BLOCKED": "not started", "READY": "about to start", "UNKNOWN": "outcome unknown",
    "PENDING": "about to start",
}  # fmt: skip
_RUN = {"SUCCESS": "succeeded", "PENDING": "about to start"}
_MAY_BE_SKIPPED = ("BLOCKED", "READY", "WAITING", "UNKNOWN", "FAILED")
_ENDED = ("SUCCESS", "FAILED", "CANCELLED")


def safe(lines: Iterable[str]) -> str:
    """Lines without anything that a terminal would obey, or that would begin another line."""
    return "\n".join(visible_line(line.replace("\t", "  ")) for line in lines)


def said(*sentences: str) -> str:
    """Sentences for people behind the command's name; of one with several lines the others stand below it."""
    lines = [line for sentence in sentences for line in f"runbook: {sentence}".replace("\n", "\n  ").split("\n")]
    return safe(lines)


def as_json(value: Json) -> str:
    """JSON in ASCII, so that nothing in it reaches a terminal as more than text."""
    return json.dumps(value, indent=2)


def ended(run: Mapping[str, Json]) -> bool:
    return run["status"] in _ENDED


def run_words(run: Mapping[str, Json]) -> str:
    """The state of a run in words."""
    if run.get("queued_in"):
        return f"queued for {run['queued_in']}"
    status = str(run["status"])
    words = _RUN.get(status, status.lower())
    if run.get("ending") and not ended(run):
        return f"{words}; it will end as {run['ending'].lower()}"
    return f"{words}, longer than expected" if run.get("overran_at") and not ended(run) else words


def headline(run: Mapping[str, Json]) -> str:
    return f"{SIGNS[run['status']]} {run['id']}  {run['runbook']}@{run['version']}  {run_words(run)}"


def run_lines(run: Mapping[str, Json], now: float | None = None, steps: int | None = None) -> list[str]:
    """A run with its steps and open gates; `steps` is how many of them there is room for."""
    lines, names = [headline(run)], Names(run)
    why = (run.get("error") or {}).get("message") or run.get("paused_reason")
    lines += [f"  {one_line(why)}"] if why else []
    lines += [f"  {offered(run)}"] if run.get("offered_to") and not ended(run) else []
    lines += [f"  {line}" for line in changed(run)]
    shown, left = _fitting(run["steps"], steps)
    width = min(40, max((len(each["step"]) for each in shown), default=0))
    lines += [f"  {step_line(each, width, now, names, run['status'])}" for each in shown]
    lines += [f"  … and {left} more steps"] if left else []
    for gate in run.get("gates", []):
        if gate["status"] == "PENDING":
            lines += gate_lines(gate)
    for task in run.get("tasks", []):
        if task["status"] == "OPEN":
            lines += task_lines(task, run["id"])
    if ended(run) and run.get("ended_at"):
        lines.append(f"  took {duration(between_ms(run['created_at'], run['ended_at']))}{_spent(run)}")
    return lines


def offered(run: Mapping[str, Json]) -> str:
    """That a run is offered to somebody who has not taken it over."""
    return f"offered to {Names(run)(run['offered_to'])}, who takes it over by `runbook takeover {run['id']}`"


def changed(run: Mapping[str, Json]) -> list[str]:
    """How its parameters were changed and by whom, a line each time."""
    return [f"changed: {change_words(each['changes'], Names(run)(each['by']))}" for each in run.get("changes", ())]


def asks_again(run: Mapping[str, Json]) -> list[str]:
    """That gates are asked again before anything else of a run goes on."""
    count = run.get("asking", 0)
    return [f"{'A gate is' if count == 1 else f'{count} gates are'} asked again first."] if count else []


def skip_words(step: Mapping[str, Json], run: str) -> str:
    """What came of asking that a step be skipped."""
    if step["status"] == "SKIPPED":
        return f"{step['step']} of {run} is skipped."
    if not step["skip"] or step["skip"]["agreed"]:
        return f"{step['step']} of {run} is skipped when its turn comes."
    asks = f"`runbook agree {run} {step['step']}`; `runbook why {run}` says who may"
    return (
        f"{step['step']} of {run} is not skipped yet: a gate has released it, so one of its approvers has to say "
        f"{asks}."
    )


def _fitting(steps: list[Json], room: int | None) -> tuple[list[Json], int]:
    """At most `room` steps: those that matter now before those that are done or have not begun."""
    if room is None or len(steps) <= room:
        return steps, 0
    settled = ("SUCCESS", "SKIPPED", "BLOCKED", "CANCELLED")
    ranked = sorted(range(len(steps)), key=lambda place: (steps[place]["status"] in settled, -place))
    kept = set(ranked[: max(1, room - 1)])
    return [each for place, each in enumerate(steps) if place in kept], len(steps) - len(kept)


def _spent(run: Mapping[str, Json]) -> str:
    """What a run that has ended spent its time on, behind how long it took."""
    started, ended_at = (_epoch_ms(run[at]) if run[at] else None for at in ("started_at", "ended_at"))
    spent = (run[name] for name in ("running_ms", "waiting_ms", "paused_ms"))
    told = parts_words(run_parts(_epoch_ms(run["created_at"]), started, ended_at, *spent), "running")
    return f" ({told})" if told else ""


def _took(step: Mapping[str, Json], now: float | None, run: str) -> str:
    """How long a step took, or has taken up to `now`; what came since the answer goes to what it does now."""
    if not step["started_at"]:
        return ""
    under_way = now is not None and step["status"] in ("RUNNING", "WAITING")
    if not step["ended_at"] and not under_way:
        return ""
    end = _epoch_ms(step["ended_at"]) if step["ended_at"] else int((now or 0) * 1000)
    whole = max(0, end - _epoch_ms(step["started_at"]))
    if step.get("tried_ms") is None:
        return duration(whole)
    spent = [step["tried_ms"], step["waited_ms"], step["paused_ms"]]
    now_at = 0 if step["status"] == "RUNNING" or step["kind"] in CONTAINERS else 2 if run == "PAUSED" else 1
    spent[now_at] += max(0, whole - sum(spent)) if under_way else 0
    return step_took(step["kind"], *spent)


def step_line(step: Mapping[str, Json], width: int, now: float | None, names: Names, run: str = "") -> str:
    status = str(step["status"])
    words = _STEP.get(status, status.lower())
    if step["kind"] in GATES and status == "WAITING":
        words = "waiting for approval"
    elif step["status"] == "WAITING" and KINDS[step["kind"]].is_manual:
        words = "to be done by hand"
    took = _took(step, now, run)
    tries = f"try {step['attempts']}" if step["attempts"] > 1 else ""
    said = (step.get("error") or {}).get("message") or names.noted(step.get("note") or "")
    note = "; ".join(part for part in (said, _skip_wish(step, names)) if part)
    told_ = ", ".join(part for part in (words, tries, took) if part)
    return f"{SIGNS[status]} {step['step']:<{width}}  {told_}{f': {one_line(note)}' if note else ''}"


def _skip_wish(step: Mapping[str, Json], names: Names) -> str:
    wish = step.get("skip")
    if not wish or step["status"] not in (("BLOCKED",) if wish["agreed"] else _MAY_BE_SKIPPED):
        return ""
    asked = "to be skipped by {}" if wish["agreed"] else "asked by {} to be skipped"
    return f"{asked.format(names(wish['by']))}: {wish['reason']}"


def gate_in_full(gate: Mapping[str, Json]) -> list[str]:
    """An open gate with everything that a vote on it is about."""
    planned = [f"    {line}" for line in preview.planned(gate["preview"])]
    return [*gate_lines(gate), *(["  What happens next:", *planned] if planned else []), f"  digest {gate['digest']}"]


def gate_lines(gate: Mapping[str, Json]) -> list[str]:
    """An open gate: what is asked, who may answer, what is missing, what will not be done, who rejected it before."""
    names = Names(gate)
    may = names.in_sentence(gate["approvers"])
    among = f", among them {names.in_sentence(', '.join(gate['unmet']))}" if gate["unmet"] else ""
    said = votes_words(gate["votes"], names)
    return [
        f"  {gate['step']} asks: {one_line(gate['message'])}",
        f"    {gate['missing']} more needed{among}, by {may}, until {when(gate['expires_at'])}"
        + (f" ({', '.join(said)})" if said else ""),
        *(
            f"    not {names(each)} either, who had a step of it skipped or gave answers that it shows"
            for each in gate["barred"]
        ),
        *(
            f"    {step} is not done, or not again: {one_line(names.noted(why))}"
            for step, why in preview.settled(gate["preview"])
        ),
        *(f"    rejected before by {_commented(vote, names)}" for vote in gate["rejected_before"]),
    ]


def task_lines(task: Mapping[str, Json], run: str) -> list[str]:
    """A manual step that is open: what is to be done, by whom, until when, and what to type."""
    said = f"`runbook done {run} {task['step']}` or `runbook could-not {run} {task['step']} note=…`"
    return [
        f"  {task['step']} is to be done by hand: {one_line(task['instructions'])}",
        f"    by {Names(task).in_sentence(task['assignees'])}, until {when(task['expires_at'])}: {said}",
    ]


def votes_words(votes: Iterable[Mapping[str, Json]], names: Names) -> list[str]:
    return [f"{names(vote['person'])} {DECIDED[vote['decision']]}" for vote in votes]


def _commented(vote: Mapping[str, Json], names: Names) -> str:
    comment, who = one_line(vote["comment"]), names(vote["person"])
    return f"{who}: {comment}" if comment else who


def runs_lines(runs: Iterable[Mapping[str, Json]]) -> list[str]:
    lines = [
        f"{SIGNS[run['status']]} {run['id']:<9} {when(run['created_at'])}  {run['runbook']}@{run['version']}"
        f"  {run_words(run)}  by {Names(run)(run['requester'])}"
        for run in runs
    ]
    return lines or ["No runs."]


def token_line(token: Mapping[str, Json]) -> str:
    state = "revoked" if token["revoked_at"] else f"until {when(token['expires_at'])}"
    used = f"last used {when(token['last_used_at'])}" if token["last_used_at"] else "never used"
    who, scopes = Names(token)(token["person"]), ",".join(token["scopes"])
    return f"{token['id']}  {who}  {scopes}  {state}  {used}  {one_line(token['name'])}"


def when(at: str, *, seconds: bool = False) -> str:
    """A time of the API in this machine's time zone; the day only where it is not today."""
    moment = datetime.fromisoformat(at).astimezone()
    today = moment.date() == datetime.now(UTC).astimezone().date()
    return moment.strftime(("" if today else "%Y-%m-%d ") + ("%H:%M:%S" if seconds else "%H:%M"))


def fitted(line: str, width: int) -> str:
    """A line on one row of the terminal."""
    return cut(line, max(20, width))


def _epoch_ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def between_ms(begun: str, over: str) -> int:
    return max(0, _epoch_ms(over) - _epoch_ms(begun))
