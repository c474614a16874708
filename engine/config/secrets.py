"""Where secrets come from: the environment, a folder with one file each, and further sources, one after the other."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import EngineError
from engine.text.redaction import MIN_LENGTH, Redactor

VARIABLE_PREFIX = "RUNBOOK_SECRET_"
MAX_BYTES = 64 * 1024
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class SecretMissing(EngineError):
    """There is no usable secret of this name; the message says what to set."""

    code = "secret_missing"


class SecretUnavailable(SecretMissing):
    """What keeps the secret does not answer now: nothing was sent, and it may be tried again."""

    code = "secret_unavailable"


class Source(Protocol):
    """One place that secrets come from; `kind` is the word for it."""

    kind: str

    def read(self, name: str) -> str | None:
        """The value as it is now, None where this place has none. Raises `SecretMissing` where it cannot be used."""

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """By name the values to be masked that can be had without waiting, and what is wrong with each other one."""


class Uses:
    """When secrets were last handed out in this process, until somebody writes it down. Thread-safe."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """It is handed out now; nothing is written."""
        with self._lock:
            self._at[name] = time.monotonic()

    def take(self, but: Collection[str] = ()) -> dict[str, int]:
        """How many milliseconds ago each was, all but these, which are kept for the next time."""
        at = time.monotonic()
        with self._lock:
            taken = {name: self._at.pop(name) for name in list(self._at) if name not in but}
        return {name: int((at - since) * 1000) for name, since in taken.items()}


class SecretStore:
    """Secrets by name. Every value it hands out is registered with the redactor first. Thread-safe.

    `secrets.lb_token` is the variable `RUNBOOK_SECRET_LB_TOKEN`, else the file `SECRETS_DIR/lb_token`, else what the
    first of `more` has. All are asked anew each time, so that what was changed counts at once.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        secrets_dir: Path | None,
        redactor: Redactor,
        more: Sequence[Source] = (),
        uses: Uses | None = None,
    ) -> None:
        self._folder = secrets_dir
        self._redactor = redactor
        self._sources: tuple[Source, ...] = (_Environment(environ), _Files(secrets_dir), *more)
        self._uses = uses or Uses()

    def resolve(self, name: str) -> str:
        """The secret's value, without a trailing line break. Raises `SecretMissing`."""
        value = self._read(name)
        self._redactor.add(name, value)
        self._uses.note(name)
        return value

    def learn(self, name: str) -> None:
        """Have a secret masked that is known only once it is asked for. Raises `SecretMissing`."""
        self._redactor.add(name, self._read(name))

    def register_all(self) -> list[str]:
        """Have every secret that is known masked, used or not. Returns a sentence for each that cannot be used."""
        values: dict[str, str] = {}
        wrong: dict[str, str] = {}
        for source in self._sources:
            found, unusable = source.known()
            for name in {*found, *unusable} - {*values, *wrong}:
                if name in found and len(found[name]) >= MIN_LENGTH:
                    values[name] = found[name]
                else:
                    wrong[name] = unusable.get(name) or _too_short(name)
        self._redactor.add_all(values)
        return [wrong[name] for name in sorted(wrong)]

    def look(self, name: str) -> tuple[list[str], str]:
        """The kinds of the sources that have this secret, and what is wrong with it, "" where it can be used.

        The first one counts and hides the others. One that does not answer counts as having it: it is not passed over.
        """
        kinds: list[str] = []
        faults: list[str] = []
        for source in self._sources:
            try:
                value = source.read(name)
            except SecretMissing as error:
                value, fault = "", str(error)
            else:
                fault = _too_short(name) if value is not None and len(value) < MIN_LENGTH else ""
            if value is not None:
                kinds.append(source.kind)
                faults.append(fault)
        return kinds, faults[0] if faults else f"There is no secret {name}: {self._how_to_set(name)}."

    def names(self) -> set[str]:
        """The names of what is known without asking for a name."""
        return {name for each in self._sources for part in each.known() for name in part if NAME.fullmatch(name)}

    def _read(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise SecretMissing(f"{name!r} is not a secret's name: use lower-case letters, digits and underscores.")
        found = (each.read(name) for each in self._sources)
        value = next((value for value in found if value is not None), None)
        if value is None:
            raise SecretMissing(f"There is no secret {name}: {self._how_to_set(name)}.")
        if len(value) < MIN_LENGTH:
            raise SecretMissing(_too_short(name))
        return value

    def _how_to_set(self, name: str) -> str:
        variable = f"set {VARIABLE_PREFIX}{name.upper()}"
        file = f" or put it into the file {name} in SECRETS_DIR" if self._folder else ""
        return f"{variable}{file}{', or `secret set` it' if len(self._sources) > 2 else ''}"


def _too_short(name: str) -> str:
    return f"The secret {name} is shorter than {MIN_LENGTH} characters, so it could not be masked."


class _Environment:
    """Variables, of which an empty one counts as none."""

    kind = "environment"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def read(self, name: str) -> str | None:
        return self._environ.get(VARIABLE_PREFIX + name.upper()) or None

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        named = {name.removeprefix(VARIABLE_PREFIX).lower(): value for name, value in self._environ.items()
                 if name.startswith(VARIABLE_PREFIX) and value}  # fmt: skip
        odd = {name: f"{name!r} is not a secret's name: use lower-case letters, digits and underscores."
               for name in named if not NAME.fullmatch(name)}  # fmt: skip
        return {name: value for name, value in named.items() if name not in odd}, odd


class _Files:
    """One file a secret; an empty one is a secret that is too short."""

    kind = "file"

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str) -> str | None:
        if self._folder is None:
            return None
        try:
            with (self._folder / name).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            if len(raw) > MAX_BYTES:
                raise SecretMissing(f"The file of the secret {name} in SECRETS_DIR is larger than 64 KiB.")
            return without_line_break(raw.decode("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretMissing(f"The file of the secret {name} in SECRETS_DIR cannot be read: {reason}.") from error

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        if self._folder is None or not self._folder.is_dir():
            return {}, {}
        values, wrong = dict[str, str](), dict[str, str]()
        for name in (each.name for each in self._folder.iterdir() if NAME.fullmatch(each.name) and each.is_file()):
            try:
                values[name] = self.read(name) or ""
            except SecretMissing as error:
                wrong[name] = str(error)
        return values, wrong


def without_line_break(text: str) -> str:
    """A value without the line break with which a file or a pipe ends."""
    return text.removesuffix("\n").removesuffix("\r")
