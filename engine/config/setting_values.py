"""From the text of one environment variable to its value. Each function raises ValueError with a plain reason."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from engine.text.regex import compile_pattern
from engine.text.yes_no import yes_or_no

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_COMMAND = re.compile(r"/[a-z0-9][a-z0-9_-]{0,30}")
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}", re.ASCII)
_SENDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TEAM = re.compile(r"[a-z][a-z0-9-]{0,62}")
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")
# The library's own words would quote a part of the address, which may be a part of its password.
_INVALID = "it is not a valid address; in a password, write special characters as %XX"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where the data is: a SQLite file (`path`, absolute) or a PostgreSQL server (`url`, with its password)."""

    kind: Literal["sqlite", "postgresql"]
    path: Path | None = None
    url: str = field(default="", repr=False)

    @property
    def password(self) -> str | None:
        """The password to the server, decoded, to be masked; None where there is none."""
        return url_password(self.url) if self.url else None

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each server; none for a file or a unix socket."""
        return _endpoints(self.url, 5432) if self.url else ()


def database(text: str, cwd: Path) -> DatabaseUrl:
    """Where the data is to be; a relative file is taken from `cwd`."""
    scheme, separator, rest = text.partition(":")
    if scheme == "sqlite" and rest.startswith("///"):
        name = rest[3:]
        if not name or name.endswith("/") or name == ":memory:" or "?" in name:
            raise ValueError("name a file, as in sqlite:///var/runbook.db")
        return DatabaseUrl("sqlite", path=(cwd / name).resolve())
    if scheme in ("postgresql", "postgres") and separator:
        parts = _split(text)
        if not parts.path.strip("/") and "dbname" not in parse_qs(parts.query):
            raise ValueError("name the database, as in postgresql://user:password@host/runbook")
        _endpoints(text, 5432)  # raises for a port that is no number
        return DatabaseUrl("postgresql", url="postgresql:" + rest)
    raise ValueError("use sqlite:///var/runbook.db (or sqlite:////absolute/file) or postgresql://user@host/name")


def path(text: str, cwd: Path) -> Path:
    """A file or folder, absolute; `~` and `~user` are somebody's home, and what is relative is taken from `cwd`."""
    try:
        return (cwd / Path(text).expanduser()).resolve()
    except RuntimeError:
        raise ValueError("it begins with the home of a user that is not known here") from None


def redis_url(text: str) -> str:
    """The address as it is, once it is one that the Redis client takes."""
    parts = _split(text)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ValueError("use redis://host:6379/0, rediss://… or unix:///path")
    return text


def redis_endpoints(url: str) -> tuple[tuple[str, int], ...]:
    """Host and port of each Redis server; none for a unix socket."""
    return () if url.startswith("unix:") else _endpoints(url, 6379)


def url_password(url: str) -> str | None:
    """The password in a URL, decoded, or None."""
    parts = urlsplit(url)
    from_query = parse_qs(parts.query).get("password", [None])[0]
    return unquote(parts.password) if parts.password else from_query


def web_url(text: str) -> str:
    """An address of the web without a slash at its end, so that paths can be put behind it."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("use an address such as https://runbooks.example.com")
    return text.rstrip("/")


def policy_url(text: str) -> str:
    """Where a decision is asked for; what is not on this machine is asked over TLS only."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("use an address such as https://opa.example.com/v1/data/runbook/allow")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("use https: only a policy on this machine is asked over http")
    return text


def slack_api_url(text: str) -> str:
    """Where Slack's methods are, with the slash at the end that its client needs."""
    address = web_url(text) + "/"
    if not address.endswith("/api/"):
        raise ValueError("it must end in /api/, as in https://slack.com/api/")
    return address


def slack_command(text: str) -> str:
    """A slash command as Slack lets one be named."""
    if not _COMMAND.fullmatch(text):
        raise ValueError("use a slash and up to 31 lower-case letters, digits, dashes or underscores, as in /runbook")
    return text


def channel(text: str) -> str:
    """A channel's id; its name would change with every renaming."""
    if not _CHANNEL.fullmatch(text):
        raise ValueError("use a channel's id, as in C0ADMIN01; Slack shows it at the end of a channel's details")
    return text


def host(text: str) -> str:
    """An address without brackets, or a host name."""
    bare = text.strip("[]")
    try:
        return str(ip_address(bare))
    except ValueError:
        if not _HOST_NAME.fullmatch(bare):
            raise ValueError("use an address or a host name without a port, as in 127.0.0.1") from None
        return bare


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`, both included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"use a whole number from {low} to {high}")
        return int(text)

    return parse


def age(text: str) -> int:
    """Whole days or hours, at least one hour and at most ten years, as milliseconds."""
    found = re.fullmatch(r"([0-9]{1,5})(d|h)", text)
    milliseconds = int(found[1]) * {"d": 86_400_000, "h": 3_600_000}[found[2]] if found else 0
    if not 3_600_000 <= milliseconds <= 3_650 * 86_400_000:
        raise ValueError("use whole days or hours, such as 90d or 36h, from 1h to 3650d")
    return milliseconds


def boolean(text: str) -> bool:
    """Yes or no, in any of the usual words for it and in any case."""
    try:
        return yes_or_no(text)
    except ValueError:
        raise ValueError("use true or false") from None


def environment(text: str) -> str:
    """The name of an environment, in lower case. Raises ValueError."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", text):
        raise ValueError("must be lower-case letters, digits and dashes, such as staging")
    return text


def one_of(*words: str) -> Callable[[str], str]:
    """One of the words in any case, returned as listed."""

    def parse(text: str) -> str:
        found = [word for word in words if word.lower() == text.lower()]
        if not found:
            raise ValueError(f"use one of {', '.join(words)}")
        return found[0]

    return parse


def token(prefix: str, other: str, other_name: str) -> Callable[[str], str]:
    """A Slack token. Only a token of the other kind is refused: practice workspaces make up their own."""

    def parse(text: str) -> str:
        if text.startswith(other):
            raise ValueError(
                f"a token that begins with {other} belongs into {other_name}; this one begins with {prefix}"
            )
        return plain(text)

    return parse


def plain(text: str) -> str:
    """A text as it is, unless it looks cut or badly copied."""
    if not text.isprintable() or " " in text:
        raise ValueError("it holds a space or an invisible character; was it cut or copied with its line break?")
    return text


def secret_key(text: str) -> bytes:
    """The 32 bytes of a key, whether or not its base64 is padded."""
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("use 32 random bytes as URL-safe base64 (43 or 44 characters)")
    return key


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of several, each with an id, which is kept with what was made by it."""

    id: str
    key: bytes = field(repr=False)


def key_ring(text: str) -> tuple[NamedKey, ...]:
    """Keys with their ids, as in `k2:BASE64,k1:BASE64`: the first one is used, all are known.

    No complaint shows a key.
    """
    found: dict[str, NamedKey] = {}
    for place, part in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        key_id, colon, key = part.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"entry {place} does not begin with a key's id and a colon, as in k1:BASE64")
        if key_id in found:
            raise ValueError(f"the id {key_id} is given twice")
        try:
            found[key_id] = NamedKey(key_id, secret_key(key))
        except ValueError as error:
            raise ValueError(f"the key {key_id}: {error}") from None
    return tuple(found.values())


def secret_keys(text: str) -> tuple[NamedKey, ...]:
    """The keys of stored secrets."""
    found = key_ring(text)
    if any(each.id == "default" for each in found):
        raise ValueError("`default` is the id of the key that is derived from SECRET_KEY; use another id")
    return found


def pattern(text: str) -> str:
    """A regular expression of RE2's, "" for `none`."""
    if text == "none":
        return ""
    compile_pattern(text)
    return text


def origins(text: str) -> tuple[str, ...]:
    """Origins as a browser sends them: scheme and host, no path."""
    found = tuple(filter(None, (part.strip() for part in text.split(","))))
    for origin in found:
        parts = _split(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f"{origin!r} is not an origin such as https://console.example.com")
    return found


@dataclass(frozen=True, slots=True)
class HookSender:
    """Who may send events, and the name of the secret that proves it; None as `team` sends for every team."""

    name: str
    secret: str
    team: str | None = None


def hook_senders(text: str) -> tuple[HookSender, ...]:
    """Who may send events, with each one's secret and team, as in `ci:ci_hook,grafana:grafana_hook:payments`."""
    found: dict[str, HookSender] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = part.partition(":")
        secret, has_team, team = rest.partition(":")
        secret = secret.lower().removeprefix("runbook_secret_")
        fits = _SENDER.fullmatch(name) and _SECRET_NAME.fullmatch(secret)
        if not fits or (has_team and not _TEAM.fullmatch(team)):
            raise ValueError(f"{part!r} is not a name, a secret's name and perhaps a team, as in ci:ci_hook:payments")
        if name in found:
            raise ValueError(f"{name} is named twice")
        found[name] = HookSender(name, secret, team or None)
    return tuple(found.values())


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError:
        raise ValueError(_INVALID) from None
    return parts


def _endpoints(url: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """Read what libpq and Redis take alike: several hosts with commas, or host and port in the query."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    netloc = parts.netloc.rpartition("@")[2]
    names = query["host"][0].split(",") if "host" in query else netloc.split(",") if netloc else ["localhost"]
    ports = query.get("port", [str(default_port)])[0]
    found = []
    for name in names:
        if name.startswith(("/", "%2F", "%2f")):  # a unix socket
            continue
        match = _HOST_AND_PORT.fullmatch(name)
        if match is None:
            raise ValueError(_INVALID)
        port = match[2] or ports.split(",")[0]
        if not port.isascii() or not port.isdigit():
            raise ValueError(_INVALID)
        found.append((match[1].strip("[]"), int(port)))
    return tuple(found)
