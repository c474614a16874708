"""Keys in files of their own, which are made where there is none."""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from pathlib import Path

from engine.config import setting_values as values
from engine.errors import BadSettings
from storage import private_files


def key_of_file(path: Path, name: str) -> bytes:
    """The key in a file, which is made when absent; `name` is the setting that it stands for. Raises `BadSettings`."""
    try:
        if not path.exists():
            _create_key(path)
        return values.secret_key(path.read_text("ascii").strip())
    except OSError as error:
        raise BadSettings([f"{name}: {path} cannot be read or made ({error.strerror})."]) from error
    except ValueError as error:
        raise BadSettings([f"{name}: {path} does not hold a key: {error}."]) from error


def _create_key(path: Path) -> None:
    private_files.make_folder(path.parent)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(encode_key(secrets.token_bytes(32)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails, unlike a rename, when another process was first
        except FileExistsError:
            return
    finally:
        os.unlink(draft)


def encode_key(key: bytes) -> str:
    """A key as it stands in a setting or a file: URL-safe base64."""
    return base64.urlsafe_b64encode(key).decode("ascii")
