"""Logging in to a Vault by token, AppRole or Kubernetes, and staying so: leases are renewed before they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.secrets import SecretMissing, SecretUnavailable
from engine.config.vault_settings import VaultSettings

if TYPE_CHECKING:
    from hvac import Client

_RENEW_AFTER = 2 / 3
"""The part of a lease after which it is renewed: what is left is for trying again."""
_MOST_BYTES = 64 * 1024


class VaultRefused(SecretMissing):
    """The Vault answers, and lets the bot not in or not read; trying again changes nothing."""

    code = "vault_refused"


@dataclass(slots=True)
class Session:
    """A client that is logged in. `lease_s` is how long from `since`, 0 for ever; `renewable` says it can be longer."""

    client: Client
    how: str
    lease_s: float
    renewable: bool
    secret: str = field(default="", repr=False)
    since: float = field(default_factory=time.monotonic)

    def renewed(self) -> bool:
        """Whether it holds, renewed where its time comes. False: log in anew. Raises `OSError`."""
        from hvac import exceptions

        age = time.monotonic() - self.since
        if not self.lease_s or age < self.lease_s * _RENEW_AFTER:
            return True
        if not self.renewable or age >= self.lease_s:
            return False
        try:
            granted = self.client.auth.token.renew_self()["auth"]
        except (exceptions.VaultError, KeyError, TypeError):
            return False
        self.lease_s, self.since = float(granted["lease_duration"]), time.monotonic()
        return self.lease_s > 0

    def masked(self) -> dict[str, str]:
        """What it was logged in with and the token that it got, by a name for each."""
        found = {"VAULT_TOKEN": str(self.client.token or ""), "VAULT_LOGIN": self.secret}
        return {name: value for name, value in found.items() if len(value) >= 4}

    def words(self) -> str:
        """How it was logged in and for how long."""
        return f"logged in by {self.how}, {f'for {self.lease_s:.0f} s' if self.lease_s else 'without an end'}"


def log_in(settings: VaultSettings, client: Client) -> Session:
    """Raises `VaultRefused` where the Vault does not take it, `SecretUnavailable` and `OSError` while it is away."""
    from hvac import exceptions

    how = settings.vault_auth
    try:
        return _LOGINS[how](settings, client)
    except (exceptions.Forbidden, exceptions.Unauthorized, exceptions.InvalidRequest, exceptions.InvalidPath):
        raise VaultRefused(f"The Vault does not take the login by {how}: {_LOOK_AT[how]}.") from None
    except exceptions.VaultError as error:
        raise SecretUnavailable(f"answered {type(error).__name__} to the login") from None
    except (KeyError, TypeError, ValueError):
        raise SecretUnavailable("answered the login with something that is none") from None


def _by_token(settings: VaultSettings, client: Client) -> Session:
    client.token = settings.vault_token or _read(settings.vault_token_file, "VAULT_TOKEN_FILE")
    about = client.auth.token.lookup_self()["data"]
    return Session(client, "token", float(about.get("ttl") or 0), bool(about.get("renewable")))


def _by_app_role(settings: VaultSettings, client: Client) -> Session:
    secret_id = settings.vault_secret_id or _read(settings.vault_secret_id_file, "VAULT_SECRET_ID_FILE")
    answer = client.auth.approle.login(role_id=settings.vault_role_id, secret_id=secret_id)
    return _session(client, "approle", answer, secret_id)


def _by_kubernetes(settings: VaultSettings, client: Client) -> Session:
    jwt = _read(settings.vault_kubernetes_token_file, "VAULT_KUBERNETES_TOKEN_FILE")
    return _session(client, "kubernetes", client.auth.kubernetes.login(role=settings.vault_role, jwt=jwt), jwt)


def _session(client: Client, how: str, answer: Mapping[str, Any], secret: str) -> Session:
    granted = answer["auth"]
    return Session(client, how, float(granted["lease_duration"]), bool(granted.get("renewable")), secret)


def _read(path: Path | None, setting: str) -> str:
    """What a file of a login holds, as it is now: whoever rotates it writes it anew."""
    try:
        with (path or Path()).open("rb") as file:
            return file.read(_MOST_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "") if isinstance(error, OSError) else "it is no ASCII text"
        raise VaultRefused(f"{setting}: {path} cannot be read: {reason}.") from None


_LOGINS: Mapping[str, Callable[[VaultSettings, Any], Session]] = {
    "token": _by_token,
    "approle": _by_app_role,
    "kubernetes": _by_kubernetes,
}
_LOOK_AT = {
    "token": "look at VAULT_TOKEN or VAULT_TOKEN_FILE",
    "approle": "look at VAULT_ROLE_ID, and VAULT_SECRET_ID or its file",
    "kubernetes": "look at VAULT_ROLE and VAULT_KUBERNETES_TOKEN_FILE",
}
