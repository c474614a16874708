"""What a process does about secrets beside its work: it learns what to mask, and writes down what was used."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from engine.config.secrets import SecretMissing
from engine.queries.secrets import names_in_use
from engine.runtime import Runtime
from engine.text.redaction import Redactor
from storage import database, secrets

log = logging.getLogger(__name__)

EVERY_S = 5.0
"""How long a value that was set elsewhere may stand in this process's log as it is."""
WRITE_EVERY_S = 60.0
"""How often it is written of one secret that it was used: so exact is what people are shown."""

LEARN_FOR_S = 5.0
"""How long a look waits for a Vault: a process is not to start late for it."""


class SecretWatch:
    """Has `redactor` know every secret there is, and tells the database which were used. One a process."""

    def __init__(self, rt: Runtime, redactor: Redactor) -> None:
        self._rt = rt
        self._store = rt.secrets(redactor)
        self._told: set[str] = set()
        self._written: dict[str, float] = {}
        self._learn_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Look now and then, until `stop`; what is used until then is written down too."""
        while True:
            self.look()
            if stop.wait(EVERY_S):
                break
        self._written.clear()
        try:
            self.write_uses()
        except database.DatabaseTrouble:
            log.warning("could not write down which secrets were used last", exc_info=True)

    def look(self) -> None:
        """Learn what is to be masked, say what cannot be used, and write down what was. Never raises."""
        try:
            self._look()
        except database.DatabaseTrouble:
            log.warning("could not look for new secrets; trying again", exc_info=True)
        except Exception:
            log.exception("looking for new secrets failed; trying again")

    def _look(self) -> None:
        problems = set(self._store.register_all())
        for problem in sorted(problems - self._told):
            log.warning("%s", problem)
        self._told = problems
        self._learn()
        self.write_uses()

    def _learn(self) -> None:
        """Ask for what approved runbooks read, where it may be in a Vault, which tells no value unasked."""
        at = time.monotonic()
        if not self._rt.settings.vault_addr or at < self._learn_at:
            return
        self._learn_at = at + self._rt.settings.vault_cache_seconds
        for name in sorted(names_in_use(self._rt)):
            with suppress(SecretMissing):
                self._store.learn(name)
            if time.monotonic() - at > LEARN_FOR_S:
                break

    def write_uses(self) -> None:
        """Write when secrets were used, each at most once in a while. What cannot be written now is left out."""
        at = time.monotonic()
        fresh = {name for name, written in self._written.items() if at - written < WRITE_EVERY_S}
        ages = self._rt.uses.take(fresh)
        if not ages:
            return
        self._written = {name: self._written[name] for name in fresh} | dict.fromkeys(ages, at)
        now = database.now()
        with database.transaction():
            secrets.note_used(self._rt.workspace_id, {name: now - age for name, age in ages.items()})
