"""Secrets that are no secrets: written into the file, or taken from what everybody may read."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.model import Runbook
from engine.definition.placed import Placed, dry_run_of, every_step
from engine.definition.schema import Finding, Path
from engine.expressions import references
from storage.records import Json

_IN_AUTH = frozenset({"password", "token", "secret", "value", "client_secret", "secret_key", "session_token"})
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"})
_OPEN_ROOTS = frozenset({"params", "incident", "execution", "runbook"})
"""What is stored and shown with the run."""


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Each place of a call that holds a secret, and where the file or a parameter says it instead. Never says what."""
    for placed in every_step(runbook):
        for path, value in (*_secret_places(placed), *_checks_own(placed)):
            named = f"`{'.'.join(map(str, path[len(placed.path) + 1 :]))}`"
            chains = references(value)
            if value and not chains:
                message = f"{named} is written into the file, where everybody reads it: set a secret and write "
                yield Finding(path, message + "{{ secrets.NAME }}", rule="written-secret")
            elif chains and {chain[0] for chain in chains} <= _OPEN_ROOTS:
                message = f"{named} is taken from `{'.'.join(min(chains))}`, which is stored and shown: use a secret"
                yield Finding(path, message, rule="written-secret")


def _checks_own(placed: Placed) -> Iterator[tuple[Path, Json]]:
    """The places of the call in check mode that hold something else than those of the call itself."""
    said = [(path[len(placed.with_path) :], value) for path, value in _secret_places(placed)]
    for asked in dry_run_of(placed):
        for path, value in _secret_places(asked):
            if (path[len(asked.with_path) :], value) not in said:
                yield path, value


def _secret_places(placed: Placed) -> Iterator[tuple[Path, Json]]:
    auth = placed.step.with_.get("auth")
    for key, value in auth.items() if isinstance(auth, dict) else ():
        if key in _IN_AUTH:
            yield (*placed.with_path, "auth", key), value
    for key in ("headers", "metadata"):
        for name, value in placed.step.with_.get(key, {}).items():
            if name.lower() in _HEADERS:
                yield (*placed.with_path, key, name), value
