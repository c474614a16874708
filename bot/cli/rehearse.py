"""`runbook rehearse`: plays the rehearsals beside runbooks. Needs no settings, and calls nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bot.cli import rehearsal_report, show
from bot.cli.options import Options
from engine.definition import regular_files, rehearsals
from engine.definition.load import MAX_BYTES
from engine.rehearsal import world
from engine.rehearsal.record import record
from engine.rehearsal.rehearse import FileResult, read_folder, read_runbook, rehearse
from engine.rehearsal.world import Published, World
from storage.records import Json

if TYPE_CHECKING:
    from bot.cli.connect import Api

PASSED, FAILED, NOTHING = 0, 1, 2
FORMATS = ("text", "junit", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE|FOLDER", type=Path, help="rehearsals, runbooks, or folders of them"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="how the results are told")
    parser.add_argument("--from", dest="run", metavar="RUN", help="write a rehearsal of a real run instead")
    for option in ("--url", "--token", "--token-file"):
        parser.add_argument(option, help="with --from, as for every verb of people")
    parser.add_argument("--coverage", action="store_true", help="say which steps and ways no case has gone")


def run(paths: Sequence[Path], how: str, *, coverage: bool) -> int:
    """Play them and tell. Returns 0 where all passed, 1 where one did not, 2 where there is nothing to play."""
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    if not any(map(os.path.lexists, files)):
        where = " or ".join(map(str, paths)) or "what was named"
        hint = "a rehearsal stands beside its runbook: NAME.rehearsal.yaml beside NAME.yaml"
        print(show.said(f"there is no rehearsal in {where}; {hint}"), file=sys.stderr)
        return NOTHING
    beside = cache(lambda folder: dict(read_folder(folder)))
    with world.opened() as made:
        results = [_rehearsed(made, file, beside) for file in files]
    _tell(results, how, coverage=coverage)
    return PASSED if all(each.passed for each in results) else FAILED


def recorded(chosen: argparse.Namespace) -> int:
    """Print the rehearsal of a real run, and below `#` what of it a rehearsal cannot hold."""
    from bot.cli import connect, entry, people

    token_file = Path(chosen.token_file) if chosen.token_file else None
    options = Options(url=chosen.url, token=chosen.token, token_file=token_file)
    try:
        with entry._connected(options) as api:
            made, notes = record(_evidence(api, chosen.run), lambda run_id: _evidence(api, run_id))
    except connect.Refused as error:
        return people.refused(error, options)
    except connect.Unreachable as error:
        print(show.said(str(error)), file=sys.stderr)
        return FAILED
    print("\n".join([*(f"# {note}" for note in notes), as_yaml(made)]), end="")
    return PASSED


def _evidence(api: Api, run_id: str) -> Mapping[str, Json]:
    found: Mapping[str, Json] = api.get(f"executions/{run_id}/evidence")
    return found


class _Dumper(yaml.SafeDumper):
    """Writes each value out: our reader takes no aliases."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def as_yaml(made: Json) -> str:
    """A rehearsal as its file."""
    text: str = yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def _files(path: Path) -> Iterator[Path]:
    """The rehearsals that a path means: itself, that of a runbook, or all in a folder."""
    if path.is_dir():
        yield from sorted(each for each in path.iterdir() if rehearsals.is_rehearsal(each))
    else:
        yield path if rehearsals.is_rehearsal(path) else rehearsals.beside(path)


def _rehearsed(made: World, file: Path, beside: Callable[[Path], Mapping[str, Published]]) -> FileResult:
    path = rehearsals.runbook_of(file)
    problems = rehearsals.check_file(file)
    if problems:
        return FileResult(str(file), path.stem, problems=tuple(map(str, problems)))
    published = read_runbook(path)
    assert published is not None, "check_file has found that it is right"
    return rehearse(made, str(file), regular_files.read(file, MAX_BYTES + 1), published, lambda: beside(path.parent))


def _tell(results: Sequence[FileResult], how: str, *, coverage: bool) -> None:
    if how == "json":
        print(show.as_json([each.as_json() for each in results]))
    elif how == "junit":
        print(rehearsal_report.as_junit(results))
    else:
        print(show.safe(rehearsal_report.as_text(results, coverage=coverage)))
