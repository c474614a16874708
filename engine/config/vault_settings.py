"""The settings of HashiCorp Vault or OpenBao, from which secrets may come. They are read with all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from engine.config import setting_values as values


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Where the Vault is and how to log in; without `vault_addr` there is none. Nothing secret is in its repr."""

    vault_addr: str | None = None
    vault_mount: str = "secret"
    vault_path: str = "runbook-bot"
    vault_namespace: str | None = None
    vault_auth: Literal["token", "approle", "kubernetes"] = "token"
    vault_token: str | None = field(default=None, repr=False)
    vault_token_file: Path | None = None
    vault_role_id: str | None = field(default=None, repr=False)
    vault_secret_id: str | None = field(default=None, repr=False)
    vault_secret_id_file: Path | None = None
    vault_role: str | None = None
    vault_kubernetes_token_file: Path | None = None
    vault_cacert: Path | None = None
    vault_cache_seconds: int = 30

    def vault_secrets(self) -> dict[str, str | None]:
        """What of it must be masked, by the name of its setting."""
        return {
            "VAULT_TOKEN": self.vault_token,
            "VAULT_ROLE_ID": self.vault_role_id,
            "VAULT_SECRET_ID": self.vault_secret_id,
        }


def address(text: str) -> str:
    """An address by https; by http on this machine only, since the token and every secret go there."""
    found = values.web_url(text)
    parts = urlsplit(found)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("use https: the token and every secret go there")
    return found


def is_loopback(host: str) -> bool:
    """Whether this is a name or an address of this machine itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _words(text: str) -> str:
    if not text.strip("/") or ".." in text or not text.isprintable() or set(text) & set("?#% "):
        raise ValueError("use a path such as runbook-bot or teams/payments")
    return text.strip("/")


_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
ROWS: tuple[tuple[str, str, Callable[[str], Any] | None, str, bool], ...] = (
    ("VAULT_ADDR", "A HashiCorp Vault or OpenBao that secrets come from too; https, or http on loopback.", address, "",
     False),
    ("VAULT_MOUNT", "Where its KV engine (version 2) is mounted.", _words, "secret", False),
    ("VAULT_PATH", "The path in it below which each secret stands by its name.", _words, "runbook-bot", False),
    ("VAULT_NAMESPACE", "The namespace, where the Vault has some.", values.plain, "", False),
    ("VAULT_AUTH", "How to log in: token, approle or kubernetes.", values.one_of("token", "approle", "kubernetes"),
     "token", False),
    ("VAULT_TOKEN", "The token, for VAULT_AUTH=token.", values.plain, "", True),
    ("VAULT_TOKEN_FILE", "A file with that token, read anew at each login.", None, "", False),
    ("VAULT_ROLE_ID", "The role id, for VAULT_AUTH=approle.", values.plain, "", True),
    ("VAULT_SECRET_ID", "The secret id, for VAULT_AUTH=approle.", values.plain, "", True),
    ("VAULT_SECRET_ID_FILE", "A file with that secret id, read anew at each login.", None, "", False),
    ("VAULT_ROLE", "The role, for VAULT_AUTH=kubernetes.", values.plain, "", False),
    ("VAULT_KUBERNETES_TOKEN_FILE", "The file with the service account's token.", None, _SERVICE_ACCOUNT, False),
    ("VAULT_CACERT", "A file with the certificates that the Vault's is checked against.", None, "", False),
    ("VAULT_CACHE_SECONDS", "How long a value is used before the Vault is asked again.", values.whole_number(0, 300),
     "30", False),
)  # fmt: skip
"""Name, description, parser (None marks a path), default, and whether it is secret."""

_NEEDS = {
    "token": ("VAULT_TOKEN", "VAULT_TOKEN_FILE"),
    "kubernetes": ("VAULT_ROLE",),
}


def problems(given: Mapping[str, str]) -> list[str]:
    """What lacks for the way of logging in that was chosen."""
    if not given.get("VAULT_ADDR", "").strip():
        return []
    how = given.get("VAULT_AUTH", "").strip().lower() or "token"
    needed = [("VAULT_ROLE_ID",), ("VAULT_SECRET_ID", "VAULT_SECRET_ID_FILE")] if how == "approle" else []
    needed += [_NEEDS[how]] if how in _NEEDS else []
    lacking = [each for each in needed if not any(given.get(name, "").strip() for name in each)]
    return [
        f"VAULT_ADDR needs {' or '.join(each)} beside it to log in by {how}. Unset VAULT_ADDR where no secret comes "
        "from a Vault."
        for each in lacking
    ]
