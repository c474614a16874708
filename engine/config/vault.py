"""HashiCorp Vault or OpenBao as a source of secrets: KV version 2, cached for seconds, and closed when it is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from engine.config.secrets import MAX_BYTES, SecretMissing, SecretUnavailable, without_line_break
from engine.config.vault_login import Session, VaultRefused, log_in
from engine.config.vault_settings import VaultSettings, is_loopback
from engine.text.storable import clean

if TYPE_CHECKING:
    from hvac import Client

T = TypeVar("T")

DEADLINE_S = 3.0
"""How long a step waits for the Vault, login and reading together."""
QUIET_S = 2.0
"""How long a Vault that did not answer is not asked again: what waits for it fails at once."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """What the Vault said of a name: its value, or None for nothing there."""

    value: str | None = field(repr=False)
    at: float


class VaultSource:
    """Secrets of a Vault, `VAULT_PATH/NAME` each. Asks it in threads that it does not wait for. Thread-safe."""

    kind = "vault"

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._session: Session | None = None
        self._cached: dict[str, _Cached] = {}
        self._asking = threading.Lock()
        self._quiet_until = 0.0

    def read(self, name: str) -> str | None:
        """The value, at most VAULT_CACHE_SECONDS old. Raises `SecretUnavailable`, and `SecretMissing` if refused."""
        cached = self._fresh(name)
        if cached is None:
            with self._asking:
                cached = self._fresh(name) or self._ask(name)
        return cached.value

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """What is cached, and what the bot has logged in with; asks nobody."""
        session = self._session
        found = {name: each.value for name, each in list(self._cached.items()) if each.value is not None}
        return {**found, **(session.masked() if session else {})}, {}

    def check(self) -> str:
        """How long the login holds, in words. Raises as `read`."""
        with self._asking:
            session = self._in_time(self._logged_in)
        return session.words()

    def _fresh(self, name: str) -> _Cached | None:
        cached = self._cached.get(name)
        fresh = cached is not None and time.monotonic() - cached.at < self._settings.vault_cache_seconds
        return cached if fresh else None

    def _ask(self, name: str) -> _Cached:
        """Ask the Vault; an older value is forgotten first, so that nothing uses it where the Vault does not answer."""
        self._cached.pop(name, None)
        found = self._in_time(lambda: self._value(name))
        self._cached[name] = _Cached(found, time.monotonic())
        return self._cached[name]

    def _in_time(self, act: Callable[[], T]) -> T:
        """What `act` returns within the deadline, in a thread: a server that drips keeps only that one."""
        if time.monotonic() < self._quiet_until:
            raise _away("does not answer")
        done: Future[T] = Future()
        threading.Thread(target=_run_into, args=(done, act), name="vault", daemon=True).start()
        try:
            return done.result(DEADLINE_S)
        except TimeoutError:
            raise self._lost(f"did not answer within {DEADLINE_S:g} s") from None
        except OSError as error:
            raise self._lost(f"cannot be reached ({type(error).__name__})") from None
        except SecretUnavailable as error:
            raise self._lost(str(error)) from None

    def _lost(self, why: str) -> SecretUnavailable:
        self._quiet_until = time.monotonic() + QUIET_S
        self._session = None
        return _away(why)

    def _value(self, name: str) -> str | None:
        from hvac import exceptions

        path = f"{self._settings.vault_path}/{name}"
        for again in (True, False):
            try:
                client = self._logged_in().client
                answer = client.secrets.kv.v2.read_secret_version(
                    path=path, mount_point=self._settings.vault_mount, raise_on_deleted_version=True
                )
                return _text_of(name, answer)
            except exceptions.InvalidPath:
                return None
            except (exceptions.Forbidden, exceptions.Unauthorized):
                self._session = None  # the token may have ended: one new login tells
                if not again:
                    raise VaultRefused(
                        f"The Vault lets nobody of this login read {self._settings.vault_mount}/{path}: "
                        "its policy needs `read` there."
                    ) from None
            except exceptions.InvalidRequest:
                raise VaultRefused(
                    f"The Vault takes no question for {path}: is VAULT_MOUNT a KV engine of version 2?"
                ) from None
            except exceptions.VaultError as error:
                raise SecretUnavailable(f"answered {type(error).__name__}") from None
        raise AssertionError("every round returns or raises")

    def _logged_in(self) -> Session:
        session = self._session
        if session is not None and session.renewed():
            return session
        self._session = None
        self._session = log_in(self._settings, self._client())
        return self._session

    def _client(self) -> Client:
        from hvac import Client

        address = self._settings.vault_addr or ""
        client = Client(
            url=address, token="", namespace=self._settings.vault_namespace, timeout=DEADLINE_S,
            verify=str(self._settings.vault_cacert or "") or True, allow_redirects=False,
        )  # fmt: skip
        if is_loopback(urlsplit(address).hostname or ""):
            client.session.trust_env = False  # no proxy lies between us and ourselves
        return client


def _away(why: str) -> SecretUnavailable:
    return SecretUnavailable(f"The Vault {why}. No older value is used; the step may be tried again.")


def _run_into(done: Future[T], act: Callable[[], T]) -> None:
    try:
        done.set_result(act())
    except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
        done.set_exception(error)


def _text_of(name: str, answer: Any) -> str:
    """The key `value` of what stands there, or its only key."""
    try:
        kept = dict(answer["data"]["data"])
    except (KeyError, TypeError, ValueError):
        raise SecretUnavailable("answered with something that is no KV secret") from None
    value = kept.get("value") if "value" in kept else next(iter(kept.values()), None) if len(kept) == 1 else None
    if not isinstance(value, str):
        raise SecretMissing(f"The secret {name} in the Vault has no text under the key `value`, nor one only key.")
    if clean(value) != value or len(value.encode()) > MAX_BYTES:
        raise SecretMissing(f"The secret {name} in the Vault is no text of at most {MAX_BYTES // 1024} KiB.")
    return without_line_break(value)
