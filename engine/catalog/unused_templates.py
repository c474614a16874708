"""Step templates that no runbook uses: what is wrong with one is told before somebody does."""

from __future__ import annotations

from pathlib import Path

from engine.definition import regular_files
from engine.definition.load import MAX_BYTES
from engine.definition.step_templates import FOLDER, Templates
from engine.text.problem import Problem


def problems(folder: Path, templates: Templates) -> list[Problem]:
    """What is wrong with the templates in `folder` that reading its runbooks, by `templates`, has not come upon."""
    shared = folder / FOLDER
    if shared.is_symlink():
        return [Problem(str(shared), 1, 1, "is a symbolic link, and links are not followed")]
    paths = sorted(path for path in shared.glob("*.yaml") if not path.name.startswith("."))
    read = set(templates.read_as)
    return [found for path in paths if path.stem not in read for found in _of(path, folder)]


def _of(path: Path, folder: Path) -> list[Problem]:
    if not path.name.isprintable():
        return [Problem(ascii(str(path))[1:-1], 1, 1, "its name is not printable UTF-8: give it another")]
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except OSError as error:
        return [Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    return Templates(folder).check_file(source, path.stem, str(path))
