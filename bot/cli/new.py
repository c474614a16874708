"""`runbook new`: asks a few questions and writes a runbook that `runbook check` finds nothing wrong with."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bot.cli import check, schema, show
from bot.cli.options import Usage
from engine.config import settings
from engine.definition import regular_files, skeleton
from engine.definition.load import MAX_BYTES
from engine.definition.schema import document
from engine.text.words import did_you_mean, listed

_SHORT = "http, grpc, poll, approval, wait, message …"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", help="what people type to run it")
    parser.add_argument("--name", help="its title; made of the id when not said")
    parser.add_argument("--team", help="the team it belongs to; empty for a global runbook")
    parser.add_argument("--risk", choices=document()["properties"]["risk"]["enum"], help="how much can go wrong")
    parser.add_argument("--steps", metavar="KIND,KIND", help=f"kinds of its steps: {listed(skeleton.starters())}")
    parser.add_argument("--folder", type=Path, help="where it is written; RUNBOOKS_DIR when not said, else runbooks.d")
    parser.add_argument("--yes", action="store_true", help="ask nothing, and take what is usual where nothing is said")
    parser.add_argument("--force", action="store_true", help="overwrite the file that is there")


def run(chosen: argparse.Namespace) -> int:
    """Write the runbook and say what `runbook check` says of it. Raises `Usage` where nothing can be written."""
    answers = _answers(chosen)
    folder = chosen.folder or settings.runbooks_dir(os.environ, Path.cwd())
    if not folder.is_dir():
        raise Usage(f"there is no folder {folder}: make it, or name another one with --folder.")
    path = folder / f"{answers.id}.yaml"
    _must_be_free(answers.id, path, force=chosen.force)
    try:
        made = skeleton.text(answers)
    except ValueError as error:
        raise Usage(f"nothing was written: {'; '.join(str(error).splitlines())}") from None
    _write(path, made, force=chosen.force)
    beside = folder / skeleton.SCHEMA_FILE
    if not beside.exists():
        _write(beside, schema.text(), force=False)
        print(show.safe([f"{beside} is written, by which editors complete and check runbooks"]))
    print(show.safe([f"{path} is written"]))
    return check.run([path])


def _answers(chosen: argparse.Namespace) -> skeleton.Answers:
    asking = not chosen.yes and sys.stdin.isatty()
    if not asking and not chosen.id:
        raise Usage("nobody can be asked: say at least --id, and --yes.")
    slug = _answer(chosen.id, "What do people type to run it?", "", asking, lambda text: skeleton.fault("id", text))
    title = slug.replace("-", " ").capitalize()
    name = _answer(chosen.name, "What is its title?", title, asking, lambda text: skeleton.fault("name", text))
    team = _answer(chosen.team, "Which team does it belong to? (none: a global one)", "", asking, _team_fault)
    levels = f"How much can go wrong? ({listed(document()['properties']['risk']['enum'])})"
    risk = _answer(chosen.risk, levels, "low", asking, lambda text: skeleton.fault("risk", text))
    kinds = _answer(chosen.steps, f"What does it do? ({_SHORT})", "http", asking, _kinds_fault)
    return skeleton.Answers(slug, name, team, risk, _words(kinds))


def _answer(given: str | None, question: str, usual: str, asking: bool, fault: Callable[[str], str]) -> str:
    """What was given or is typed, asked again until nothing is wrong with it."""
    if given is not None or not asking:
        said = usual if given is None else given
        if wrong := fault(said):
            raise Usage(wrong if wrong.endswith("?") else f"{wrong}.")
        return said
    while True:
        try:
            said = input(f"{question}{f' [{usual}]' if usual else ''} ").strip() or usual
        except EOFError:
            print()
            raise Usage("nothing was written.") from None
        if not (wrong := fault(said)):
            return said
        print(show.safe([wrong]))


def _team_fault(team: str) -> str:
    return skeleton.fault("team", team) if team else ""


def _kinds_fault(text: str) -> str:
    odd = skeleton.unknown(_words(text))
    if odd:
        return f"there is no kind of step `{odd[0]}`{did_you_mean(odd[0], skeleton.starters())}"
    return "" if _words(text) else f"name at least one kind of step: {listed(skeleton.starters())}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").lower().split())


def _must_be_free(slug: str, path: Path, *, force: bool) -> None:
    """Raise `Usage` where the file is there, or another file of the folder has that id."""
    if os.path.lexists(path) and not force:
        raise Usage(f"{path} is there already: choose another --id, or say --force to overwrite it.")
    written = re.compile(rf"^id:\s*(['\"]?){re.escape(slug)}\1\s*(#.*)?$", re.MULTILINE)
    for other in sorted(path.parent.glob("[!_.]*.y*ml")):
        if other != path and written.search(_text_of(other, slug)):
            raise Usage(f"{other} has the id {slug} already: choose another --id.")


def _text_of(other: Path, slug: str) -> str:
    """What is written there; "" for what cannot be read, which is said and keeps nobody from a runbook of their own."""
    try:
        return regular_files.read(other, MAX_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        unknown = f"{other} cannot be read ({error.strerror}): see to it that its id is not {slug}, too"
        print(show.safe([unknown]), file=sys.stderr)
        return ""


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a new file, or with `force` put it in place of whatever is there: a link is replaced, not followed."""
    try:
        if not force:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            beside = Path(folder) / path.name
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}.") from None
