"""Secrets that a call's answer brings: taken out of it, read by the steps behind it, and nothing else kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.definition import secret_outputs
from engine.definition.model import Runbook, Step
from engine.egress.received_rules import HostLists, ReceivedRules
from engine.egress.secret_rules import SecretRules
from engine.errors import EngineError
from engine.expressions import Held, held_name, held_names
from engine.received_secrets import Holding
from engine.steps import context, http_response, secret_values
from engine.steps.http_request import MASKED
from engine.steps.outcome import Abandoned, Again, Evidence, Failed, Outcome, Succeeded, Unknown
from engine.steps.secret_values import HeldFor, Mapped, NoSecret
from engine.text.redaction import Redact, mark
from storage.records import Json, StepRunRecord

NOT_KEPT = "‹not kept: a secret came in it›"
_KEPT = ("status", "code", "bytes", "elapsed_ms")
_SILENT = "What was answered is not kept: a secret may be in it."


@dataclass(frozen=True, slots=True)
class Received:
    """A secret output of the step at `path`, as the run has it now; `value` is None where `problem` says why.

    `hosts` are the lists that have to allow where it goes, None where the runbook alone is known to say so.
    """

    path: str
    name: str
    value: str | None = field(repr=False)
    problem: str = ""
    hosts: HostLists | None = None

    @property
    def shown_as(self) -> str:
        """The name that a mark shows."""
        return held_name(context.step_of(self.path), self.name)


def known_values(received: Iterable[Received]) -> list[tuple[str, str]]:
    """The names that marks show, and what each stands for, of all that could be opened."""
    return [(each.shown_as, each.value) for each in received if each.value is not None]


def holdings(received: Iterable[Received]) -> list[Holding]:
    """What the run holds of all that could be opened."""
    return [Holding(each.shown_as, each.value, each.hosts) for each in received if each.value is not None]


@dataclass(frozen=True, slots=True)
class ClaimSecrets:
    """What an attempt is told of secrets as it is claimed.

    `rules` are for those that a runbook of `team` may use, `held` are the outputs of its steps that are secret, and
    `received` those that the run has so far, which may go where `received_rules` say.
    """

    rules: SecretRules = field(default_factory=SecretRules)
    team: str | None = None
    held: Held = frozenset()
    received: tuple[Received, ...] = field(default=(), repr=False)
    received_rules: ReceivedRules = field(default_factory=ReceivedRules)

    def are_received(self, names: Iterable[str]) -> bool:
        """Whether all of these, as marks show them, are what the run received."""
        return set(names) <= {each.shown_as for each in self.received}

    def made_of(self, names: Iterable[str], text: str) -> Holding:
        """What a template made of these, which goes where all of them may."""
        read = sorted(names)
        lists = [each.hosts for each in self.received if each.shown_as in read]
        known = [each for each in lists if each is not None]
        return Holding(", ".join(read), text, frozenset().union(*known) if len(known) == len(lists) else None)

    def rules_seen(self, runbook: Runbook, reader: StepRunRecord) -> ReceivedRules:
        """Where what a `reader` sees may go, also by the rules of others who hold the same."""
        shared = {
            each.shown_as: each.hosts
            for each in self.received
            if each.hosts is not None
            and each.path == context.path_of(runbook, context.step_of(each.path), reader.scope)
        }
        return replace(self.received_rules, shared=shared)

    def steps_seen(
        self, runbook: Runbook, reader: StepRunRecord, visible: Mapping[str, Json], chains: Iterable[tuple[str, ...]]
    ) -> dict[str, Json]:
        """The `steps` that the secret parts of a `reader` of `chains` see, with values in the place of marks.

        Raises `NoSecret` where a mark would be sent instead of a secret that is not there any more, or does not open.
        """
        steps: dict[str, Json] = dict(visible.get("steps", {}))
        kept = {(each.path, each.name): each for each in self.received}
        named: set[str] = set().union(*(held_names(chain, self.held) for chain in chains))
        for step_id, name in sorted(each for each in self.held if held_name(*each) in named):
            path = context.path_of(runbook, step_id, reader.scope)
            outputs = steps.get(step_id, {}).get("outputs")
            if not isinstance(outputs, dict) or name not in outputs:
                continue  # the template says what is missing
            if (path, name) not in kept:
                raise NoSecret(f"The secret `{name}` that {path} received is forgotten: that step has to run again.")
            if kept[path, name].value is None:
                raise NoSecret(kept[path, name].problem)
            steps[step_id] = {**steps[step_id], "outputs": {**outputs, name: kept[path, name].value}}
        return steps


@dataclass(frozen=True, slots=True)
class Holders:
    """The rules for what the step receives, `held_for` who holds the same, and `hold` to be one of them from now on."""

    rules: ReceivedRules
    held_for: HeldFor
    hold: Callable[[Iterable[Holding]], None]


def taken(outcome: Outcome, step: Step, mapped: Mapped, redact: Redact, holders: Holders) -> Outcome:
    """The outcome of a step with secret outputs: these apart and masked from now on, and nothing else of the answer.

    Its other outputs are worked out once these are masked in the answer: a template may spell them otherwise.
    """
    if not isinstance(outcome, Succeeded):
        return without_answer(outcome, step)
    evidence = _bare(outcome.evidence)
    try:
        values = secret_values.of_answer(outcome, step, mapped, holders.rules, holders.held_for)
        holders.hold(Holding(held_name(step.id, name), each.value, each.hosts) for name, each in values.items())
        rest = secret_outputs.others(step.outputs)
        outputs = redact(mapped(rest, _masked_again(outcome.outputs, redact))) if rest else {}
    except NoSecret as error:
        return Failed("outputs", f"The step was done, but {error} {_SILENT}", evidence=evidence)
    except (EngineError, ValueError):
        return Failed(
            "outputs", f"The step was done, but its outputs could not be worked out. {_SILENT}", evidence=evidence
        )
    marks = {name: mark(held_name(step.id, name)) for name in values}
    shown = Evidence(redact(evidence.request), redact(evidence.response))
    return Succeeded({**outputs, **marks}, shown, values)


def _masked_again(outputs: Mapping[str, Json], redact: Redact) -> dict[str, Json]:
    """The answer with what is masked only now; its own names stay, whatever spells them."""
    return dict(zip(outputs, redact(list(outputs.values())), strict=True))


def without_answer(outcome: Outcome, step: Step) -> Outcome:
    """The outcome with nothing in it of what the other side said."""
    if isinstance(outcome, Failed):
        told = {key: value for key, value in (outcome.outputs or {}).items() if key in _KEPT}
        outputs = told if outcome.outputs is not None else None
        return replace(outcome, outputs=outputs, evidence=_bare(outcome.evidence), message=_message(outcome, step))
    if isinstance(outcome, Unknown | Abandoned | Again):
        return replace(outcome, evidence=_bare(outcome.evidence), message=_message(outcome, step))
    return outcome


def _message(outcome: Failed | Unknown | Abandoned | Again, step: Step) -> str:
    response = outcome.evidence.response
    if isinstance(outcome, Failed) and outcome.code == "too_large":
        return f"The call was made, but the answer is too large: a step keeps at most 256 KiB of it. {_SILENT}"
    if isinstance(response, dict):
        status = response.get("status")
        said = http_response.status_name(status) if isinstance(status, int) else str(response.get("code", "something"))
        begin = "Not yet. " if isinstance(outcome, Again) else ""
        return f"{begin}The server answered {said}. {_SILENT}"
    # A redirect's address is the other side's word too.
    return f"No full answer came. {_SILENT}" if step.with_.get("redirects") and _was_sent(outcome) else outcome.message


def _was_sent(outcome: Failed | Unknown | Abandoned | Again) -> bool:
    return not outcome.message.startswith("Nothing was sent")


def _bare(evidence: Evidence) -> Evidence:
    """The evidence without body, words and addresses of the answer; of its headers the names alone."""
    response = evidence.response
    if not isinstance(response, dict):
        return evidence
    kept = {key: response[key] for key in _KEPT if key in response}
    headers = response.get("headers", response.get("metadata"))
    named = {"headers": dict.fromkeys(headers, MASKED)} if isinstance(headers, dict) else {}
    return Evidence(evidence.request, {**kept, **named, "body": NOT_KEPT})
