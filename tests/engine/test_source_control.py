"""Authors and commits come from git's files, whatever a repository holds, and nothing that it says is run."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_repositories import CAROL, MALLORY, commit, git, history, repository

from engine.catalog import source_control
from engine.catalog.source_control import Commit, last_commits


def found(folder: Path) -> dict[str, Commit]:
    return last_commits(folder, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def emails(folder: Path) -> dict[str, str | None]:
    return {name: each.email for name, each in found(folder).items()}


_reading = threading.local()
_started: list[tuple[str, object]] = []


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that a thread starts while it reads a repository fails the test; the tests' own git may run."""
    original = source_control._read

    def guarded(*arguments: object) -> None:
        _reading.now = True
        try:
            original(*arguments)  # type: ignore[arg-type]
        finally:
            _reading.now = False

    monkeypatch.setattr(source_control, "_read", guarded)
    _started.clear()
    yield
    assert not _started


STARTS_A_PROGRAM = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})


def _hook() -> Callable[[str, object], None]:
    """A hook cannot be taken away, and is called when the names of this module are gone already: it keeps its own."""
    programs, reading, started, held = STARTS_A_PROGRAM, _reading, _started, getattr

    def note(event: str, arguments: object) -> None:
        if event in programs and held(reading, "now", False):
            started.append((event, arguments))

    return note


sys.addaudithook(_hook())


def test_a_program_that_is_started_while_reading_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reading, "now", True, raising=False)
    subprocess.run(["true"], check=True)
    assert [event for event, _ in _started if event == "subprocess.Popen"]
    _started.clear()


def _trap(folder: Path) -> Path:
    """Everything that a repository may say is to be run; each would leave the canary behind."""
    canary = folder.parent / "canary"
    program = folder.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    program.chmod(0o755)
    return canary


SETTINGS = """\
[core]
\trepositoryformatversion = 0
\tbare = false
\tworktree = ..
\tfsmonitor = {program}
\thooksPath = {hooks}
\tsshCommand = {program}
\tpager = {program}
\teditor = {program}
\taskPass = {program}
\talternateRefsCommand = {program}
[filter "x"]
\tclean = {program}
\tsmudge = {program}
\tprocess = {program}
\trequired = true
[diff "x"]
\ttextconv = {program}
\tcommand = {program}
[diff]
\texternal = {program}
[merge "x"]
\tdriver = {program}
[gpg]
\tprogram = {program}
[credential]
\thelper = {program}
[log]
\tshowSignature = true
[remote "origin"]
\turl = ext::{program}
\tpromisor = true
[include]
\tpath = {pipe}
"""


def _bare_like(folder: Path, settings: str) -> None:
    """The committed files that make git take a folder for a bare repository."""
    (folder / "objects").mkdir()
    (folder / "objects" / "keep").write_text("")
    (folder / "refs").mkdir()
    (folder / "refs" / "keep").write_text("")
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text(settings)


def test_a_folder_that_looks_like_a_repository_is_none(tmp_path: Path) -> None:
    """Git would run what its `config` names; here the enclosing repository says who committed the files."""
    root = repository(tmp_path / "harness")
    canary, folder = _trap(root), root / "runbooks.d"
    folder.mkdir()
    program = tmp_path / "program"
    said = SETTINGS.format(program=program, hooks=folder / "hooks", pipe="/nonexistent")
    _bare_like(folder, said)
    (folder / "hooks").mkdir()
    for name in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        shutil.copy(program, folder / "hooks" / name)
    (folder / ".gitattributes").write_text("*.yaml filter=x diff=x merge=x\n")
    made = commit(root, MALLORY)
    git(folder, "--git-dir", str(root / ".git"), "status")  # the trap is not yet sprung by the enclosing repository
    assert not canary.exists()
    (folder / "demo.yaml").write_text("demo")
    git(root, "add", ".")
    made = commit(root, MALLORY)
    assert found(folder)["demo.yaml"] == Commit(made, MALLORY)
    assert not canary.exists()
    subprocess.run(["git", "-C", str(folder), "status"], capture_output=True, check=False)
    assert canary.exists()  # so the trap is one


def test_settings_hooks_and_filters_of_the_repository_itself_are_not_run(tmp_path: Path) -> None:
    """Not even when somebody wrote them into `.git`, which a commit cannot do; nor are files read that they name."""
    root = repository(tmp_path / "harness")
    canary = _trap(root)
    (root / ".gitattributes").write_text("*.yaml filter=x diff=x\n")
    made = commit(root, demo="demo")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = tmp_path / "program"
    (root / ".git" / "config").write_text(SETTINGS.format(program=program, hooks=root / "h", pipe=pipe))
    for name in ("post-index-change", "pre-auto-gc", "reference-transaction"):
        shutil.copy(program, root / ".git" / "hooks" / name)
    assert found(root) == {
        "demo.yaml": Commit(made, CAROL), ".gitattributes": Commit(made, CAROL)
    }  # fmt: skip
    (root / "demo.yaml").write_text("changed")
    assert set(found(root)) == {".gitattributes"}
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        "a b.yaml", "-x.yaml", ":(glob)*.yaml", ":!demo.yaml", "*.yaml", "[a].yaml", 'q"q.yaml', "back\\slash.yaml",
        "é.yaml", "\u2028.yaml", "tab\t.yaml", "line\nbreak.yaml", "HEAD.yaml", "--all.yaml", "\udcff.yaml",
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_exact_name(tmp_path: Path, name: str) -> None:
    """A name is no pattern: another file's committer is not taken for this one's."""
    root = repository(tmp_path / "harness")
    commit(root, CAROL, demo="demo", a="a")
    (root / name).write_text("mine")
    made = commit(root, MALLORY)
    commit(root, CAROL, demo="demo 2", a="a 2")
    assert found(root)[name] == Commit(made, MALLORY)


def test_a_renamed_file_is_its_renamers(tmp_path: Path) -> None:
    """What somebody put under a new name is theirs, though the content is another's."""
    root = repository(tmp_path / "harness")
    commit(root, CAROL, demo="demo")
    (root / "demo.yaml").rename(root / "other.yaml")
    commit(root, MALLORY)
    assert emails(root) == {"other.yaml": MALLORY}


def test_what_is_not_as_it_was_committed_has_no_author(tmp_path: Path) -> None:
    """Changed, untracked, staged only, committed as a link, or committed as a folder; the others keep theirs."""
    root = repository(tmp_path / "harness")
    (root / "link.yaml").symlink_to("fine.yaml")
    (root / "folder.yaml").mkdir()
    (root / "folder.yaml" / "x").write_text("x")
    commit(root, fine="fine", changed="before")
    (root / "changed.yaml").write_text("after")
    (root / "untracked.yaml").write_text("new")
    (root / "staged.yaml").write_text("new")
    git(root, "add", "staged.yaml")
    shutil.rmtree(root / "folder.yaml")
    (root / "folder.yaml").write_text("x")
    assert emails(root) == {"fine.yaml": CAROL}


def test_what_git_changed_on_the_way_out_keeps_its_author(tmp_path: Path) -> None:
    """Line ends that `.gitattributes` asks for are no local change; a change after them is one."""
    root = repository(tmp_path / "harness")
    (root / ".gitattributes").write_text("*.yaml text eol=crlf\n")
    commit(root, demo="one\ntwo\n")
    for path in (root / "demo.yaml",):
        path.unlink()
        git(root, "checkout", "--", ".")
        assert b"\r\n" in path.read_bytes()
        os.utime(path, (1_700_000_000, 1_700_000_000))
    git(root, "update-index", "--refresh")
    assert emails(root)["demo.yaml"] == CAROL
    (root / "demo.yaml").write_bytes(b"one\r\nTWO\r\n")
    assert "demo.yaml" not in emails(root)


def test_a_mailmap_does_not_change_who_committed(tmp_path: Path) -> None:
    """It is a committed file like any other: whoever may write to the repository may write it."""
    root = repository(tmp_path / "harness")
    commit(root, MALLORY, demo="demo")
    (root / ".mailmap").write_text(f"Carol <{CAROL}> <{MALLORY}>\n")
    commit(root, CAROL)
    assert emails(root)["demo.yaml"] == MALLORY


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",), ("--separate-git-dir=../elsewhere",)])
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_of_a_repository(tmp_path: Path, options: tuple[str, ...], packed: bool) -> None:
    """Loose and packed, both kinds of ids, and the folder as the repository's root or somewhere in it."""
    root = repository(tmp_path / "harness", *[each.replace("..", str(tmp_path)) for each in options])
    first = commit(root, demo="demo")
    (root / "deep" / "runbooks.d").mkdir(parents=True)
    second = commit(root / "deep" / "runbooks.d", MALLORY, demo="demo")
    if packed:
        git(root, "gc", "-q", "--aggressive")
        git(root, "pack-refs", "--all")
    assert found(root) == {"demo.yaml": Commit(first, CAROL)}
    assert found(root / "deep" / "runbooks.d") == {"demo.yaml": Commit(second, MALLORY)}


def test_worktrees_submodules_clones_and_a_detached_head(tmp_path: Path) -> None:
    """Each has its `.git` elsewhere, its objects elsewhere, or part of the history only."""
    root = repository(tmp_path / "harness")
    commit(root, CAROL, old="old")
    made = commit(root, MALLORY, demo="demo")
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    git(tmp_path, "clone", "-q", "--shared", str(root), "shared")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    outer = repository(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", str(root), "runbooks.d")
    whole = {"old.yaml": CAROL, "demo.yaml": MALLORY}
    for folder in (tmp_path / "tree", tmp_path / "shared", outer / "runbooks.d"):
        assert emails(folder) == whole
        assert found(folder)["demo.yaml"].id == made
    # As git log says: where the history was cut off, all there is was put there by the last commit that is left.
    assert emails(tmp_path / "shallow") == {"old.yaml": MALLORY, "demo.yaml": MALLORY}


def test_the_commit_is_the_one_that_git_names(tmp_path: Path) -> None:
    """In histories with merges, whatever their dates say."""
    for seed in range(12):
        root = tmp_path / str(seed)
        history(root, 60, merges=True, seed=seed)
        folder = root / "ops" / "runbooks.d"
        expected = {
            path.name: git(folder, "log", "-1", "--format=%H %ce", "--", f":(literal){path.name}")
            for path in folder.iterdir()
        }
        assert {name: f"{each.id} {each.email}" for name, each in found(folder).items()} == expected


@pytest.mark.slow
def test_a_long_history_is_read_in_time(tmp_path: Path) -> None:
    """Ten thousand commits, and a file that only the first of them touched."""
    root = tmp_path / "harness"
    history(root, 10_000, merges=False, seed=1, at="runbooks.d")
    (root / "new.yaml").write_text("new")
    folder = root / "runbooks.d"
    began = time.monotonic()
    assert len(found(folder)) == 10
    assert time.monotonic() - began < source_control.DEADLINE_S


def test_a_history_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The author is unknown, and the log says why."""
    root = repository(tmp_path / "harness")
    commit(root, demo="demo")
    monkeypatch.setattr(source_control, "DEADLINE_S", 0.0)
    with caplog.at_level(logging.WARNING):
        assert found(root) == {}
    assert "the last commits of demo.yaml were not found" in caplog.text


def test_a_repository_that_does_not_answer_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe where git keeps a file: the reading of it never ends."""
    root = repository(tmp_path / "harness")
    commit(root, demo="demo")
    (root / ".git" / "HEAD").unlink()
    os.mkfifo(root / ".git" / "HEAD")
    monkeypatch.setattr(source_control, "DEADLINE_S", -0.5)
    began = time.monotonic()
    assert found(root) == {}
    assert time.monotonic() - began < 5
    assert "in time" in caplog.text
    os.close(os.open(root / ".git" / "HEAD", os.O_RDWR))  # lets the reader end


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".git/HEAD", b"\x00\xff"),
        (".git/HEAD", b"ref: refs/heads/../../../../etc/passwd\n"),
        (".git/config", b"[core\nx"),
        (".git/config", b"[extensions]\nunheardof = true\n[core]\nrepositoryformatversion = 1\n"),
        (".git/refs/heads/main", b"0" * 40),
        (".git/refs/heads/main", b"ref: refs/heads/main"),
        (".git/objects/info/alternates", b"/dev\n/proc/self\n../objects\n"),
        (".git/index", b"DIRC\xff\xff"),
    ],
)
def test_a_broken_repository_is_no_reason_to_stop(tmp_path: Path, path: str, content: bytes) -> None:
    """What can be read counts, and nothing is raised."""
    root = repository(tmp_path / "harness")
    made = commit(root, demo="demo", other="other")
    (root / "other.yaml").write_text("changed")
    (root / path).parent.mkdir(exist_ok=True, parents=True)
    (root / path).write_bytes(content)
    assert found(root) in ({}, {"demo.yaml": Commit(made, CAROL)})


def test_a_git_file_that_leads_nowhere(tmp_path: Path) -> None:
    """As a submodule's does whose repository is not there."""
    (tmp_path / "demo.yaml").write_text("demo")
    for text in ("gitdir: /nowhere\n", "gitdir: .\n", "", "\xff", "gitdir: " + "x" * 10_000):
        (tmp_path / ".git").write_text(text)
        assert found(tmp_path) == {}


def test_outside_git_and_before_the_first_commit(tmp_path: Path) -> None:
    """Nothing is known, and nothing is wrong."""
    (tmp_path / "demo.yaml").write_text("demo")
    assert found(tmp_path) == {}
    repository(tmp_path)
    assert found(tmp_path) == {}


@pytest.mark.parametrize("address", [b"", b"no address", b"a\x00b@example.com", b"a b@example.com", b"x@" + b"y" * 999])
def test_a_committer_without_an_address_is_unknown(tmp_path: Path, address: bytes) -> None:
    """The commit is known all the same; what is kept can be kept by any database."""
    root = repository(tmp_path / "harness")
    (root / "demo.yaml").write_text("demo")
    git(root, "add", ".")
    tree = git(root, "write-tree")
    raw = b"tree %s\nauthor A <a@b> 1 +0000\ncommitter C <%s> 1 +0000\n\nx\n" % (tree.encode(), address)
    made = git(root, "hash-object", "--literally", "-t", "commit", "-w", "--stdin", input_=raw)
    (root / ".git" / "refs" / "heads" / "main").write_text(made + "\n")
    assert found(root) == {"demo.yaml": Commit(made, None)}
