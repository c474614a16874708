"""Where secrets come from: the environment and a folder with one file each. They are never stored anywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.errors import EngineError
from engine.text.redaction import MIN_LENGTH, Redactor

VARIABLE_PREFIX = "RUNBOOK_SECRET_"
MAX_BYTES = 64 * 1024
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class SecretMissing(EngineError):
    """There is no usable secret of this name; the message says what to set."""

    code = "secret_missing"


class SecretStore:
    """Secrets by name. Every value it hands out is registered with the redactor first. Thread-safe.

    `secrets.lb_token` is the variable `RUNBOOK_SECRET_LB_TOKEN`, else the file `SECRETS_DIR/lb_token`. Both are read
    anew each time, so that a rotated file counts at once.
    """

    def __init__(self, environ: Mapping[str, str], secrets_dir: Path | None, redactor: Redactor) -> None:
        self._environ = environ
        self._folder = secrets_dir
        self._redactor = redactor

    def resolve(self, name: str) -> str:
        """The secret's value, without a trailing line break. Raises `SecretMissing`."""
        value = self._read(name)
        self._redactor.add(name, value)
        return value

    def register_all(self) -> list[str]:
        """Have every secret that exists masked, used or not. Returns a sentence for each that cannot be used."""
        usable, problems = {}, []
        for name in sorted(self._names()):
            try:
                usable[name] = self._read(name)
            except SecretMissing as error:
                problems.append(str(error))
        self._redactor.add_all(usable)
        return problems

    def _read(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise SecretMissing(f"{name!r} is not a secret's name: use lower-case letters, digits and underscores.")
        value = self._environ.get(VARIABLE_PREFIX + name.upper()) or self._from_file(name)
        if value is None:
            raise SecretMissing(f"There is no secret {name}: {self._how_to_set(name)}.")
        if len(value) < MIN_LENGTH:
            raise SecretMissing(
                f"The secret {name} is shorter than {MIN_LENGTH} characters, so it could not be masked."
            )
        return value

    def _from_file(self, name: str) -> str | None:
        if self._folder is None:
            return None
        try:
            with (self._folder / name).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            if len(raw) > MAX_BYTES:
                raise SecretMissing(f"The file of the secret {name} in SECRETS_DIR is larger than 64 KiB.")
            return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SecretMissing(f"The file of the secret {name} in SECRETS_DIR cannot be read: {reason}.") from error

    def _how_to_set(self, name: str) -> str:
        variable = f"set {VARIABLE_PREFIX}{name.upper()}"
        return f"{variable} or put it into the file {name} in SECRETS_DIR" if self._folder else variable

    def _names(self) -> set[str]:
        names = {
            variable.removeprefix(VARIABLE_PREFIX).lower()
            for variable, value in self._environ.items()
            if variable.startswith(VARIABLE_PREFIX) and value
        }
        if self._folder is not None and self._folder.is_dir():
            names |= {path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()}
        return names
