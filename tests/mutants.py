"""Small mistakes put into `engine` and `storage`, one at a time: a test that runs the changed line has to fail.

`make mutants` takes a sample of them, N (100) of the seed SEED. What may be changed and how is mutmut's; text with
spaces is left alone, for it is told to people. Which tests run which line is found out first, once for each state of
the code, and kept under var/. Everything happens in copies of the tree.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import queue
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import libcst
from coverage import CoverageData
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "var" / "mutants"
MUTATED = ("engine", "storage")
TESTS = ("unit", "storage", "engine", "api")
LEFT = shutil.ignore_patterns(".git", ".venv", "var", "build", ".*_cache", "__pycache__", ".hypothesis", "*.egg-info")
WHICH = ("-m", "not slow", "-k", "not postgresql or storage")
AT_ONCE = os.cpu_count() or 1
MOST_TESTS = 400
"""How many of the tests that run a line are tried at most: of each file in turn, the one that runs most of the line's
module first."""

PATIENCE_S = 420
STATEMENT_LINES = 15
"""How far above a line its statement may begin: that is where the running of it is noted."""

_RUN = "[run]\nsource = engine,storage\nparallel = true\ndynamic_context = test_function\ndata_file = {}\n"


@dataclass(frozen=True)
class Mutant:
    """One file with one mistake in it."""

    path: str
    before: str
    after: str

    @property
    def line(self) -> int:
        pairs = zip(self.before.splitlines(), self.after.splitlines(), strict=False)
        return next((n for n, (old, new) in enumerate(pairs, 1) if old != new), len(self.after.splitlines()))

    @property
    def diff(self) -> str:
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), self.path, lineterm="", n=1)
        return "\n".join([f"{self.path}:{self.line}", *list(lines)[2:]])


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def sample(count: int, seed: int) -> list[Mutant]:
    found: list[tuple[Path, str, libcst.Module, Mutation]] = []
    for path in sources(*MUTATED):
        code = path.read_text(encoding="utf-8")
        module, mutations, *_ = create_mutations(str(path), code)
        found += [(path, code, module, each) for each in mutations if not _is_prose(each.original_node)]
    chosen = random.Random(seed).sample(found, min(count, len(found)))
    print(f"{len(found)} mutants, {len(chosen)} of them tried, SEED={seed}", flush=True)
    return [
        Mutant(str(path.relative_to(ROOT)), code, deep_replace(module, each.original_node, each.mutated_node).code)
        for path, code, module, each in chosen
    ]


def _is_prose(node: libcst.CSTNode) -> bool:
    return isinstance(node, libcst.BaseString) and " " in libcst.Module([]).code_for_node(node)


class Map:
    """Which tests run which line; made by running them under coverage, unless it is there for this very code."""

    def __init__(self) -> None:
        state = hashlib.sha256(b"".join(path.read_bytes() for path in sources(*MUTATED, "tests"))).hexdigest()[:16]
        self._file, self._failed = KEPT / f"{state}.coverage", KEPT / f"{state}.failed"
        if not self._failed.exists():
            shutil.rmtree(KEPT, ignore_errors=True)
            KEPT.mkdir(parents=True)
            self._make()
        self._data = CoverageData(str(self._file))
        self._data.read()
        self._broken = set(json.loads(self._failed.read_text(encoding="utf-8")))
        self._homes = {path.stem: f"{path.relative_to(ROOT)}" for path in sources("tests")}

    def _make(self) -> None:
        print("Finding out which tests run which lines", flush=True)
        rules = KEPT / "coveragerc"
        rules.write_text(_RUN.format(KEPT / "part"), encoding="utf-8")
        files = sorted(str(path) for folder in TESTS for path in (ROOT / "tests" / folder).glob("test_*.py"))
        cover = [sys.executable, "-m", "coverage", "run", f"--rcfile={rules}", "-m", "pytest", "-q", *WHICH]
        shares = [(KEPT / f"cache{n}", files[n::AT_ONCE]) for n in range(AT_ONCE)]
        started = [subprocess.Popen([*cover, "-o", f"cache_dir={cache}", *share], cwd=ROOT) for cache, share in shares]
        if any(each.wait() not in (0, 1) for each in started):
            raise SystemExit("The tests could not be run: see above.")
        data = CoverageData(str(self._file))
        for part in KEPT.glob("part*"):
            read = CoverageData(str(part))
            read.read()
            data.update(read)
        data.write()
        failed = [cache / "v/cache/lastfailed" for cache, _share in shares]
        broken = [nodeid for path in failed if path.exists() for nodeid in json.loads(path.read_text())]
        self._failed.write_text(json.dumps([nodeid.partition("[")[0] for nodeid in broken]), encoding="utf-8")

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that run the mutant's line and pass without it, as pytest wants them.

        A line that is run by importing its module is every test's that runs anything of the module, or names it.
        """
        lines = self._data.contexts_by_lineno(str(ROOT / mutant.path))
        near = range(mutant.line, max(0, mutant.line - STATEMENT_LINES), -1)
        running = set(next((names for each in near if (names := lines.get(each))), ()))
        by_import = not running or "" in running
        if by_import:
            running = {name for names in lines.values() for name in names}
        share = Counter(name.partition(".")[0] for names in lines.values() for name in names)
        by_file: dict[str, list[str]] = defaultdict(list)
        for stem, _, rest in sorted(name.partition(".") for name in running):
            if stem in self._homes:
                by_file[stem].append(f"{self._homes[stem]}::{rest.replace('.', '::')}")
        files = [by_file[stem] for stem in sorted(by_file, key=lambda stem: (-share[stem], stem))]
        ids = [each for turn in zip_longest(*files) for each in turn if each and each not in self._broken]
        return [*(self._naming(mutant.path) if by_import else ()), *ids[:MOST_TESTS]]

    def _naming(self, path: str) -> list[str]:
        """The test files that import a module by its name."""
        package, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
        told = re.compile(rf"from {re.escape(package)}\.{name} import|from {re.escape(package)} import .*\b{name}\b")
        files = (path for folder in TESTS for path in (ROOT / "tests" / folder).glob("test_*.py"))
        return sorted(str(each.relative_to(ROOT)) for each in files if told.search(each.read_text(encoding="utf-8")))


def try_out(mutant: Mutant, tests: list[str], tree: Path) -> str:
    """What becomes of a mutant in this copy of the tree: killed, survived, timed out or not run."""
    if not tests:
        return "not run"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *WHICH, *tests]
    (tree / mutant.path).write_text(mutant.after, encoding="utf-8")
    quiet = subprocess.DEVNULL
    environ = {**os.environ, "PYTHONPATH": str(tree)}
    child = subprocess.Popen(command, cwd=tree, env=environ, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        return "survived" if child.wait(PATIENCE_S) == 0 else "killed"
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        _end(child)
        (tree / mutant.path).write_text(mutant.before, encoding="utf-8")


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.wait()


def main() -> int:
    """Try the sample; 1 where less than nine of ten were noticed."""
    count = int(os.environ.get("N") or 100)
    mutants = sample(count, int(os.environ.get("SEED") or secrets.randbelow(1_000_000)))
    known = Map()
    with tempfile.TemporaryDirectory(prefix="runbook-mutants-") as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(AT_ONCE):
            trees.put(shutil.copytree(ROOT, Path(folder) / str(number), ignore=LEFT))

        def judged(mutant: Mutant) -> str:
            tree = trees.get()
            try:
                verdict = try_out(mutant, known.tests_of(mutant), tree)
            finally:
                trees.put(tree)
            print(f"{verdict:9} {mutant.path}:{mutant.line}", flush=True)
            return verdict

        with ThreadPoolExecutor(AT_ONCE) as pool:
            verdicts = list(pool.map(judged, mutants))
    for mutant, verdict in zip(mutants, verdicts, strict=True):
        if verdict in ("survived", "not run"):
            print(f"\n{verdict}: {mutant.diff}")
    told = ", ".join(f"{verdicts.count(each)} {each}" for each in ("killed", "timed out", "survived", "not run"))
    noticed = (verdicts.count("killed") + verdicts.count("timed out")) / len(verdicts)
    print(f"\n{told}: {noticed:.0%} noticed")
    return int(noticed < 0.9)


if __name__ == "__main__":
    sys.exit(main())
