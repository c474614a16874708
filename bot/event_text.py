"""What an event of a run means, told in one place for every door: page, terminal and thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.sentences import Part, Role, Sentence, enumerated, filled, plain
from bot.slack.views.text import duration
from storage.records import Json
from storage.states import Phase

DECIDED = {"APPROVE": "approved", "REJECT": "rejected"}
"""A vote in words."""
_CHOSEN = {"retry": "had it tried again", "done": "marked it done", "failed": "marked it failed"}
_PHASES = {
    Phase.UNDO: "undoing what was done",
    Phase.ON_FAILURE: "running the steps for a failure",
    Phase.FINALLY: "running the steps that always run",
}
BY_HAND = "paused by hand"
"""What the engine notes where nobody gave a reason."""
_NAMED = 10
"""People named in one sentence."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An event with its facts, whatever an older release has left out of them."""

    step: Part
    actor: str | None
    facts: Mapping[str, Json]

    @property
    def who(self) -> Part:
        return Part(Role.PERSON, self.actor)

    def text(self, name: str) -> str:
        return str(self.facts.get(name) or "")

    def number(self, name: str) -> int:
        value = self.facts.get(name)
        return int(value) if isinstance(value, int | float) else 0

    def listed(self, name: str) -> list[Json]:
        value = self.facts.get(name)
        return value if isinstance(value, list) else []

    def because(self, *names: str) -> Sentence:
        """The first of these facts that the event has, behind a colon."""
        said = next((self.text(name) for name in names if self.facts.get(name)), "")
        return (": ", Part(Role.QUOTE, said)) if said else ()

    def filled(self, template: str, **parts: Part | Sentence) -> Sentence:
        return filled(template, step=self.step, who=self.who, **parts)


def sentence(kind: str, path: str | None, actor: str | None, data: Json) -> Sentence:
    """What happened, as a sentence.

    A kind that has no words here is told by its own name, so that nothing which happened is left out.
    """
    event = _Event(Part(Role.STEP, path or "a step"), actor or None, data if isinstance(data, dict) else {})
    if known := _SAID.get(kind):
        return known(event)
    words = kind.replace("_", " ")
    told = event.filled(f"{{step}} {words}") if path else (words,)
    return (*told, *(event.filled(" ({who})") if actor else ()))


def told(kind: str, path: str | None, actor: str | None, data: Json, name: Callable[[str], str] = str) -> str:
    """The same as plain text; `name` gives the name of the person with an id."""
    return plain(sentence(kind, path, actor, data), name)


_Said = Callable[[_Event], Sentence]


def _plain(template: str, *because: str) -> _Said:
    return lambda event: (*event.filled(template), *event.because(*because))


def _names(each: list[Json]) -> Sentence:
    return enumerated([Part(Role.NAME, str(one)) for one in each])


def _with_changes(template: str) -> _Said:
    """The same with the parameters that were changed, what they were and are, where that is kept."""

    def say(event: _Event) -> Sentence:
        changed = event.listed("changes")
        which: Sentence = (" (", Part(Role.CHANGES, changed), ")") if changed else ()
        how = (" with other parameters", *which) if changed or event.facts.get("changed") else ()
        return (*event.filled(template), *how, *_unchecked(event), *event.because("reason"))

    return say


def _unchecked(event: _Event) -> Sentence:
    """The parameters whose systems could not say whether they offer what was given."""
    names = event.listed("unchecked")
    return (" with ", *_names(names), " unchecked, as what offers it could not be asked") if names else ()


def _heard(event: _Event) -> Sentence:
    sender = event.text("sender")
    by: Sentence = (" from ", Part(Role.NAME, sender)) if sender else ()
    return (*event.filled("the event came{by} that {step} waited for", by=by), *event.because("key"))


def _retrying(event: _Event) -> Sentence:
    attempt, delay = event.number("attempt"), duration(event.number("delay_ms"))
    times = "once" if attempt == 1 else f"{attempt} times"
    return (*event.filled(f"{{step}} failed {times}; next try in {delay}"), *event.because("message"))


def _failed(event: _Event) -> Sentence:
    tries = f" after {event.number('attempt')} tries" if event.number("attempt") > 1 else ""
    return (*event.filled(f"{{step}} failed{tries}"), *event.because("message"))


def _vote(event: _Event) -> Sentence:
    decision = event.text("decision").upper()
    count = f" ({event.number('approvals')} of {event.number('needed')})" if decision == "APPROVE" else ""
    did = DECIDED.get(decision, "decided about")
    return (*event.filled(f"{{who}} {did} {{step}}{count}"), *event.because("comment"))


def _resolved(event: _Event) -> Sentence:
    did = _CHOSEN.get(event.text("choice"), "decided")
    return (*event.filled(f"{{step}}: {{who}} {did}"), *event.because("note"))


def _skipped(event: _Event) -> Sentence:
    """The note of a skip names who asked for it; that person is the actor."""
    if event.actor is None:
        return (*event.filled("{step} is skipped"), *event.because("reason"))
    why = event.text("reason").partition(": ")[2]
    return (*event.filled("{who} skipped {step}"), *((": ", Part(Role.QUOTE, why)) if why else ()))


def _agreed(event: _Event) -> Sentence:
    by: Sentence = (", as ", Part(Role.PERSON, event.text("by")), " asked") if event.facts.get("by") else ()
    return event.filled("{who} agreed that {step} is skipped{by}", by=by)


def _paused(event: _Event) -> Sentence:
    said = event.filled("{who} paused this run") if event.actor else ("paused",)
    return (*said, *(event.because("reason") if event.text("reason") != BY_HAND else ()))


def _offered(event: _Event) -> Sentence:
    to = Part(Role.PERSON, event.text("to"))
    template = "{who} offered this run to {to}" if event.facts.get("to") else "{who} took back the offer of this run"
    return (*event.filled(template, to=to), *event.because("reason"))


def _handed_over(event: _Event) -> Sentence:
    was = Part(Role.PERSON, event.text("was")) if event.facts.get("was") else ("somebody else",)
    return (*event.filled("{who} took this run over from {was}", was=was), *event.because("reason"))


def _gate_changed(event: _Event) -> Sentence:
    voters = [Part(Role.PERSON, str(each)) for each in event.listed("void")[:_NAMED]]
    votes = "; the vote of {voters} is void" if len(voters) == 1 else "; the votes of {voters} are void"
    return event.filled("what {step} asks has changed" + (votes if voters else ""), voters=enumerated(voters))


def _behind(template: str) -> _Said:
    """`{gates}` are those that the event names."""

    def say(event: _Event) -> Sentence:
        gates = enumerated([Part(Role.STEP, str(each)) for each in event.listed("gates")])
        return (*event.filled(template, gates=gates or ("a gate",)), *event.because("reason"))

    return say


def _queued(event: _Event) -> Sentence:
    behind = _names(event.listed("behind"))
    group = Part(Role.NAME, event.text("group"))
    return event.filled("queued for {group}" + (", behind {behind}" if behind else ""), group=group, behind=behind)


def _child(event: _Event) -> Sentence:
    run, slug = Part(Role.NAME, event.text("execution")), Part(Role.NAME, event.text("runbook"))
    return event.filled("{step} started {run}" + (" ({slug})" if slug.value else ""), run=run, slug=slug)


def _longer(event: _Event) -> Sentence:
    """Named for whoever answers for the run, so that they are called."""
    expected = duration(event.number("expected_ms"))
    whose = Part(Role.PERSON, event.text("responsible") or None)
    return event.filled(f"this run of {{whose}} takes longer than expected, which is at most {expected}", whose=whose)


def _phase(event: _Event) -> Sentence:
    phase = event.text("phase")
    return ((_PHASES.get(Phase(phase), "") if phase in set(Phase) else "") or f"cleanup begins: {phase}",)


def _ended(event: _Event) -> Sentence:
    error = event.facts.get("error")
    why = error.get("message") if isinstance(error, dict) else None
    said: Sentence = (": ", Part(Role.QUOTE, str(why))) if why else ()
    return (f"the run ended: {event.text('status')}", *said)


_SAID: dict[str, _Said] = {
    "started": _with_changes("{who} started this run"),
    "queued": _queued,
    "step_started": _plain("{step} started"),
    "step_succeeded": _plain("{step} is done"),
    "step_retrying": _retrying,
    "step_failed": _failed,
    "step_unknown": _plain("{step} was sent and nobody saw how it ended", "message"),
    "step_resolved": _resolved,
    "step_retried": _with_changes("{who} had {step} tried again"),
    "step_skipped": _skipped,
    "skip_marked": _plain("{who} wants {step} skipped, which is done when its turn comes", "reason"),
    "skip_requested": _behind("{who} asked to skip {step}, which {gates} had released"),
    "skip_agreed": _agreed,
    "skip_dropped": _plain("{step} is not skipped after all", "reason"),
    "step_reused": _plain("{step} is taken over from an earlier run", "execution"),
    "step_taken_over": _plain("the worker that ran {step} is gone; another one took over"),
    "late_result": _plain("a late answer came for {step}", "message"),
    "branch_taken": _plain("{step} was decided", "taken"),
    "child_started": _child,
    "message": _plain("{step} says", "text"),
    "wait_started": _plain("{step} waits for an event", "key"),
    "event_received": _heard,
    "gate_opened": _plain("{step} waits for approval"),
    "gate_changed": _gate_changed,
    "gate_bypassed": _behind(
        "this run was ended: {step} was about to begin, and {gates} had not released it. Nothing of it was done. This "
        "should not be possible: whoever runs this bot has to look into it"
    ),
    "gate_approved": _plain("{step} is approved"),
    "gate_rejected": _plain("{step} is rejected", "comment"),
    "gate_reminder": _plain("people were reminded of {step}"),
    "gate_expired": _plain("nobody decided {step} in time"),
    "task_opened": _plain("{step} is to be done by hand"),
    "task_done": _plain("{who} did {step}", "note"),
    "task_failed": _plain("{who} could not do {step}", "note"),
    "task_reminder": _plain("people were reminded of {step}"),
    "task_expired": _plain("nobody did {step} in time"),
    "vote": _vote,
    "vote_withdrawn": _plain("{who} took their vote on {step} back"),
    "handover_offered": _offered,
    "handed_over": _handed_over,
    "quarantined": _plain("this run cannot go on and has ended", "message"),
    "paused": _paused,
    "resumed": _plain("{who} resumed this run", "reason"),
    "cancel_requested": _plain("{who} asked to cancel", "reason"),
    "cleanup_ended": _plain("{who} ended the cleanup", "reason"),
    "longer_than_expected": _longer,
    "timed_out": _plain("the time for running is used up"),
    "phase_started": _phase,
    "ended": _ended,
}
