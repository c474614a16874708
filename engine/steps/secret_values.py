"""What the secret outputs of a call come to, also where a run holds the same already: then the rules of both hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.definition import secret_outputs
from engine.definition.model import Step
from engine.egress.received_rules import HostLists, ReceivedRules
from engine.errors import EngineError
from engine.expressions import is_pick
from engine.steps.outcome import SecretOutput, Succeeded
from engine.text.redaction import shows_mark, tells_nothing
from storage.records import Json

Mapped = Callable[[Mapping[str, Json], Mapping[str, Json]], dict[str, Json]]
"""What outputs, as written, come to over an answer."""

HeldFor = Callable[[str], list[HostLists | None]]
"""As `ReceivedSecrets.held_for`."""


class NoSecret(EngineError):
    """A secret output cannot be masked, or is not there any more; the message does not say what it is."""

    code = "secret_missing"


def of_answer(
    outcome: Succeeded, step: Step, mapped: Mapped, rules: ReceivedRules, held_for: HeldFor
) -> dict[str, SecretOutput]:
    """The step's secret outputs by name, each with the `hosts` that `rules` give it and those of all who hold the same.

    What stays masked in the answer is read again only where its template takes it as it is, and is taken only where it
    is, letter by letter, what somebody received: of anything else this would tell whether it was guessed. Raises
    `NoSecret`.
    """
    wanted = secret_outputs.templates(step.outputs)
    values = mapped(wanted, outcome.outputs)
    masked = {name: wanted[name] for name, value in values.items() if isinstance(value, str) and shows_mark(value)}
    if masked:
        values |= _read_again(outcome, masked, mapped)
    found: dict[str, SecretOutput] = {}
    for name, value in values.items():
        minded = _minded(name, held_for(value) if isinstance(value, str) else [], known=name in masked)
        if not isinstance(value, str) or not tells_nothing(value):
            raise NoSecret(
                f"`outputs.{name}` came to what cannot be masked: a secret is text of at least 8 characters, "
                "5 of them different, and among fewer than 16 a digit."
            )
        own = rules.hosts.get(secret_outputs.named(step.id, name))
        found[name] = SecretOutput(value, minded | {own})
    return found


def _read_again(outcome: Succeeded, masked: Mapping[str, Json], mapped: Mapped) -> dict[str, Json]:
    computed = [name for name, template in masked.items() if not is_pick(str(template))]
    if computed or outcome.reread is None:
        raise _masked(next(iter(computed or masked)))
    return mapped(masked, outcome.reread())


def _minded(name: str, holders: list[HostLists | None], *, known: bool) -> HostLists:
    """The lists of all holders; `known` says that there have to be some."""
    lists = [each for each in holders if each is not None]
    if len(lists) < len(holders) or (known and not lists):
        raise _masked(name)
    return frozenset[tuple[str, ...] | None]().union(*lists)


def _masked(name: str) -> NoSecret:
    # The steps behind would send the mark, perhaps as a new key.
    return NoSecret(
        f"`outputs.{name}` came to a secret that is masked already: one of the bot's own, or one that was received "
        "before, within an hour of that run. Such a one can be received again as it is and whole, by a template that "
        "changes nothing, such as `{{ response.json.key }}`; else have a new one made."
    )
