"""The last word on where secrets go: asked of the host that is really called, before anything is sent to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.definition import reaches
from engine.definition.model import Step
from engine.egress import CallFailed
from engine.egress.received_rules import ReceivedRules
from engine.egress.secret_rules import SecretRules
from engine.steps.received import ClaimSecrets

CODE: Final = "secret_destination"
"""The code of a step that failed because a secret may not be used so."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The secrets that one attempt carries, and the rules for them as they were when it began.

    `names` are those that go to the step's own address and those for the server of its tokens; `received` are the rules
    for those that the run itself has received. `shows` says whether a
    text holds a secret, however it is written there.
    """

    names: reaches.Carried = field(default_factory=reaches.Carried)
    rules: SecretRules = field(default_factory=SecretRules)
    team: str | None = None
    shows: Callable[[str], bool] = lambda _text: False
    received: ReceivedRules = field(default_factory=ReceivedRules)

    def to_address(self, url: str) -> None:
        """Raise `CallFailed` unless the secrets of the step may go there."""
        self._check(self.names.own, self.names.received_own, url)

    def to_token_server(self, url: str) -> None:
        """Raise `CallFailed` unless the secrets of an OAuth 2 client may go there."""
        self._check(self.names.token, self.names.received_token, url)

    def to_other_origin(self, url: str, headers: Iterable[str]) -> None:
        """Raise `CallFailed` where a redirect leads the secrets that it still holds to a host that they may not go to.

        What goes to another origin was left by the first host, or put by the author into a header that goes anywhere.
        """
        names = self.names
        if (names.own or names.received_own) and any(map(self.shows, (url, *headers))):
            self._check(names.own, names.received_own, url)

    def _check(self, names: frozenset[str], received: frozenset[str], url: str) -> None:
        refused = [*self.rules.refused_use(names, self.team), *self.rules.refused_sending(names, url)]
        refused += self.received.refused_sending(received, url)
        if refused:
            raise CallFailed(CODE, f"Nothing was sent: {'; '.join(refused)}.")


def carried(step: Step, secrets: ClaimSecrets, received: ReceivedRules, shows: Callable[[str], bool]) -> Carried:
    """What an attempt at this step carries, by what its claim was told of secrets; `received` is where those may go."""
    names = reaches.carried(step, secrets.held)
    return Carried(names, secrets.rules, secrets.team, shows, received)
