"""What every engine service is given: the settings, whose workspace this is, and how to call workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.config.secret_keys import keyring_of, of_received
from engine.config.secrets import SecretStore, Source, Uses
from engine.config.settings import Settings
from engine.conversations import Conversations, NoSlack
from engine.option_cache import OptionCache
from engine.received_secrets import ReceivedSecrets, unsealed
from engine.text.redaction import Redactor
from storage.secret_outputs import SealedOutput
from storage.secret_records import Sealed


@dataclass(frozen=True)
class Runtime:
    """`hint` says that these executions may have work now. It never raises and may do nothing: a sweep follows.

    `conversations` answers for Slack's channels. `sources` are those of secrets behind the environment and files, and
    `uses` is when which secret was handed out in this process. `options` are the choices that systems offered lately,
    and `received` what its redactor knows of secrets that runs received.
    """

    settings: Settings
    workspace_id: int
    hint: Callable[[Iterable[str]], None]
    conversations: Conversations = field(default_factory=NoSlack)
    sources: tuple[Source, ...] = field(default=(), repr=False, compare=False)
    uses: Uses = field(default_factory=Uses, repr=False, compare=False)
    options: OptionCache = field(default_factory=OptionCache, init=False, repr=False, compare=False)
    _redactor: Redactor = field(default_factory=Redactor, init=False, repr=False, compare=False)
    received: ReceivedSecrets = field(default_factory=ReceivedSecrets, init=False, repr=False, compare=False)

    def redactor(self) -> Redactor:
        """One that knows every secret there is, as it is now: what comes from outside or from people may hold one."""
        self._redactor.add_all(self.settings.secret_values())
        self.secrets(self._redactor).register_all()
        self.received.learn(self.settings, self._redactor)
        return self._redactor

    def sealed(self, value: str, execution_id: str, path: str, name: str) -> Sealed:
        """A secret output of a run's step, sealed for it alone."""
        return keyring_of(self.settings).seal(of_received(self.workspace_id, execution_id, path, name), value)

    def unsealed(self, row: SealedOutput) -> str:
        """A secret output that was `sealed`. Raises `SecretUnreadable`."""
        return unsealed(self.settings, row)

    def secrets(self, redactor: Redactor) -> SecretStore:
        """Every secret there is, each known to `redactor` before it is handed out."""
        return SecretStore(self.settings.secret_variables, self.settings.secrets_dir, redactor, self.sources, self.uses)
