"""Bringing the catalogue up to the folder, and what a broken folder does not do."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ACCESS, ALICE, CAROL, OSCAR, Harness, at_once, errors, http, runbook

from engine.access import policy as access
from engine.access import roles
from engine.catalog import catalog, sync, version_approval
from engine.errors import NotAllowed
from engine.runs import controls
from storage import audit, database, runbooks
from storage.columns import dicts
from storage.records import AuditRecord
from storage.tables import ALL

DEMO = """\
apiVersion: runbook/v1
id: demo
name: Demo
team: payments
steps:
  - id: a
    type: http
    with: {url: "http://127.0.0.1:9/a"}
"""
CHANGED = DEMO.replace("9/a", "9/b")


def kinds(report: sync.SyncReport) -> list[tuple[str, str, int]]:
    return [(each.slug, each.kind, each.number) for each in report.changes]


def audit_rows(harness: Harness) -> list[AuditRecord]:
    with database.reading():
        return list(reversed(audit.recent(harness.rt.workspace_id)))


def test_a_new_file_becomes_a_draft(harness: Harness) -> None:
    """Its text is kept, and that it came is on record."""
    report = harness.sync(demo=DEMO)
    assert kinds(report) == [("demo", "new", 1)]
    assert report.ok
    version = catalog.version(harness.rt, "demo")
    assert (version.status, version.source, version.author) == ("DRAFT", DEMO, None)
    assert ("runbook.draft", "runbook:demo@1") in [(each.action, each.thing) for each in audit_rows(harness)]


def test_a_changed_definition_becomes_a_new_draft_and_stops_the_runbook(harness: Harness) -> None:
    """The old version stays as it was."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    assert kinds(harness.sync(demo=CHANGED)) == [("demo", "changed", 2)]
    assert catalog.get(harness.rt, "demo").status == "DRAFT"
    assert [(each.number, each.status) for each in catalog.history(harness.rt, "demo")] == [
        (2, "DRAFT"),
        (1, "APPROVED"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        DEMO,
        "# Reviewed.\n" + DEMO,
        DEMO.replace("Demo", '"Demo"'),
        DEMO.replace("team: payments\n", "") + "team: payments\n",
    ],
)
def test_what_means_the_same_is_unchanged(harness: Harness, text: str) -> None:
    """Comments, quotes and the order of keys make no new version, and the approval stays."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    report = harness.sync(demo=text)
    assert (kinds(report), report.unchanged) == ([], 1)
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def test_a_removed_file_withdraws_its_runbook(harness: Harness) -> None:
    """Every version of it; what is left is counted as unchanged."""
    harness.sync(demo=DEMO, other=DEMO.replace("id: demo", "id: other"))
    harness.approve("demo")
    harness.sync(demo=CHANGED)
    (harness.folder / "demo.yaml").unlink()
    report = harness.sync()
    assert kinds(report) == [("demo", "deprecated", 2)]
    assert report.unchanged == 1
    assert {each.status for each in catalog.history(harness.rt, "demo")} == {"DEPRECATED"}
    assert kinds(harness.sync()) == []


def test_a_file_that_comes_back_is_a_new_draft(harness: Harness) -> None:
    """Even with the same content: what was withdrawn is approved anew."""
    harness.sync(demo=DEMO, other=DEMO.replace("id: demo", "id: other"))
    harness.approve("demo")
    (harness.folder / "demo.yaml").unlink()
    harness.sync()
    assert kinds(harness.sync(demo=DEMO)) == [("demo", "changed", 2)]
    assert catalog.get(harness.rt, "demo").status == "DRAFT"


def test_a_renamed_file_changes_nothing(harness: Harness) -> None:
    """A runbook is known by its id; its later removal is noticed under the new name."""
    harness.sync(demo=DEMO, other=DEMO.replace("id: demo", "id: other"))
    harness.approve("demo")
    (harness.folder / "demo.yaml").rename(harness.folder / "renamed.yaml")
    assert kinds(harness.sync()) == []
    found = catalog.get(harness.rt, "demo")
    assert (found.status, found.source_path) == ("APPROVED", "renamed.yaml")
    (harness.folder / "renamed.yaml").unlink()
    assert kinds(harness.sync()) == [("demo", "deprecated", 1)]


@pytest.mark.parametrize("text", ["{", "apiVersion: runbook/v1\nid: demo\n", "\x00", DEMO + "stps: []\n"])
def test_a_broken_file_changes_nothing_and_is_reported(harness: Harness, text: str) -> None:
    """The version from before it broke goes on running; the other files are synced."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    report = harness.sync(demo=text, other=DEMO.replace("id: demo", "id: other"))
    assert kinds(report) == [("other", "new", 1)]
    assert not report.ok
    assert "demo.yaml" in report.problems[0].file
    assert catalog.get(harness.rt, "demo").status == "APPROVED"
    with database.reading():
        kept = runbooks.last_sync(harness.rt.workspace_id)
    assert kept is not None
    assert not kept.ok
    assert kept.summary["problems"]


def test_a_file_that_cannot_be_read_is_broken(harness: Harness) -> None:
    """It is not taken for removed."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    (harness.folder / "demo.yaml").unlink()
    (harness.folder / "demo.yaml").mkdir()
    report = harness.sync(other=DEMO.replace("id: demo", "id: other"))
    assert "cannot be read" in report.problems[0].message
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_link("/dev/zero"), "a symbolic link"),
        (_link("/dev/tty"), "a symbolic link"),
        (_link("/etc/passwd"), "a symbolic link"),
        (_link("other.yaml"), "a symbolic link"),
        (_link("demo.yaml"), "a symbolic link"),
        (_link("nowhere"), "a symbolic link"),
        (os.mkfifo, "a named pipe"),
        (Path.mkdir, "a folder"),
        (_socket, "a socket"),
    ],
)
def test_only_regular_files_are_read(
    harness: Harness, make: Callable[[Path], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is committed under a runbook's name is reported; it waits for nothing, and the others go on."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    monkeypatch.chdir(harness.folder)  # a socket's path must be short
    for name in ("demo.yaml", "_access.yaml"):
        Path(name).unlink()
        make(Path(name))
    report = harness.sync(other=DEMO.replace("id: demo", "id: other"))
    assert kinds(report) == [("other", "new", 1)]
    found = {Path(each.file).name: each.message for each in report.problems}
    assert set(found) == {"demo.yaml", "_access.yaml"}
    assert all(message.startswith(f"cannot be read: it is {said}") for message in found.values())
    assert catalog.get(harness.rt, "demo").status == "APPROVED"
    assert roles.roles_of(harness.rt, ALICE.user_id).platform_admin


@pytest.mark.parametrize("name", ["\udcff.yaml", "a\nb.yaml", "\x1b[31m.yaml", "\u202egpj.yaml"])
def test_a_name_that_cannot_be_shown_is_reported(harness: Harness, name: str) -> None:
    """It is kept with its runbook and shown in many places; the other files are synced."""
    harness.write(demo=DEMO)
    (harness.folder / name).write_text(DEMO.replace("id: demo", "id: other"))
    report = harness.sync()
    assert kinds(report) == [("demo", "new", 1)]
    (problem,) = report.problems
    assert "printable" in problem.message
    assert problem.file.isascii()
    assert problem.file.isprintable()


@pytest.mark.parametrize("how", ["empty", "gone", "a file"])
def test_a_folder_without_runbooks_changes_nothing(harness: Harness, how: str) -> None:
    """A wrong mount must not withdraw everything."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    for path in harness.folder.iterdir():
        path.unlink()
    if how != "empty":
        harness.folder.rmdir()
    if how == "a file":
        harness.folder.write_text("")
    report = sync.sync(harness.rt, access.SYSTEM)
    assert report.problems
    assert kinds(report) == []
    assert catalog.get(harness.rt, "demo").status == "APPROVED"
    assert roles.roles_of(harness.rt, ALICE.user_id).platform_admin


def test_two_files_with_one_id_are_both_refused(harness: Harness) -> None:
    """Neither wins, and the runbook stays what it was."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    report = harness.sync(copy=CHANGED)
    assert kinds(report) == []
    assert len(report.problems) == 2
    assert "copy.yaml and demo.yaml" in report.problems[0].message
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def test_a_file_renamed_and_copied_does_not_withdraw_its_runbook(harness: Harness) -> None:
    """Two files of one id are a mistake to be reported, not a removal."""
    harness.sync(demo=DEMO)
    harness.approve("demo")
    (harness.folder / "demo.yaml").rename(harness.folder / "one.yaml")
    report = harness.sync(two=CHANGED)
    assert (kinds(report), len(report.problems)) == ([], 2)
    assert catalog.get(harness.rt, "demo").status == "APPROVED"


def test_files_with_an_underscore_or_a_dot_are_no_runbooks(harness: Harness) -> None:
    """They are not read at all."""
    harness.write(_draft="{", demo=DEMO)
    (harness.folder / ".hidden.yaml").write_text("{")
    (harness.folder / "notes.txt").write_text("{")
    assert harness.sync().ok


def test_a_broken_access_file_keeps_the_old_policy(harness: Harness) -> None:
    """Nobody loses or gets a role through a typing mistake."""
    harness.sync(demo=DEMO)
    for text in (
        "",
        "{",
        "platform_admins: U0OSCAR01\n",
        "platform_admin: [U0OSCAR01]\n",
        "platform_admins: [oscar]\n",
    ):
        report = harness.sync(_access_yaml=text)
        assert report.problems
        assert roles.roles_of(harness.rt, ALICE.user_id).platform_admin
        assert not roles.roles_of(harness.rt, OSCAR.user_id).platform_admin
    (harness.folder / "_access.yaml").unlink()
    assert "is missing" in harness.sync().problems[0].message
    assert roles.roles_of(harness.rt, ALICE.user_id).platform_admin


def test_a_changed_access_file_counts_at_once_and_is_audited(harness: Harness) -> None:
    """Who may do what is the loudest change there is; the same content again is none."""
    harness.sync(demo=DEMO)
    harness.sync(_access_yaml=ACCESS + "# a comment\n")
    harness.sync(_access_yaml=ACCESS.replace("[S0ONCALL]", "[S0ONCALL, U0OSCAR01]"))
    assert roles.roles_of(harness.rt, OSCAR.user_id).responder
    rows = [each for each in audit_rows(harness) if each.action == "access.change"]
    assert [each.severity for each in rows] == ["WARNING", "WARNING"]


def test_a_sync_and_its_audit_rows_commit_together_or_not_at_all(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the audit row can't be written, nothing of the sync happened."""
    harness.sync(demo=DEMO)
    before = (catalog.history(harness.rt, "demo"), audit_rows(harness))

    def refuse(*_args: object, **_keys: object) -> None:
        raise database.OperationalError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "write", refuse)
        with pytest.raises(database.OperationalError):
            harness.sync(demo=CHANGED, _access_yaml=ACCESS.replace("S0ONCALL", "S0OTHERS"))
    assert (catalog.history(harness.rt, "demo"), audit_rows(harness)) == before
    assert roles.roles_of(harness.rt, CAROL.user_id).responder
    assert kinds(harness.sync()) == [("demo", "changed", 2)]


@pytest.mark.parametrize("act", ["approve", "deprecate", "start", "cancel"])
def test_no_act_of_a_person_takes_place_without_its_audit_row(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """The same for everything that people do."""
    harness.publish(runbook("ready", http("a")))
    run = harness.start("ready")
    harness.sync(demo=DEMO)
    acts = {
        "approve": lambda: version_approval.approve(harness.rt, ALICE, "demo", 1),
        "deprecate": lambda: version_approval.deprecate(harness.rt, ALICE, "ready"),
        "start": lambda: harness.start("ready"),
        "cancel": lambda: controls.cancel(harness.rt, CAROL, run),
    }

    def refuse(*_args: object, **_keys: object) -> None:
        raise database.OperationalError("disk full")

    before = _everything(harness)
    with monkeypatch.context() as patch:
        patch.setattr(audit, "write", refuse)
        with pytest.raises(database.OperationalError):
            acts[act]()
    assert _everything(harness) == before


def _everything(harness: Harness) -> list[object]:
    with database.reading():
        return [dicts(table.select()) for table in ALL]


def test_only_a_platform_admin_or_the_bot_syncs(harness: Harness) -> None:
    """A refusal reads nothing."""
    harness.write(demo=DEMO)
    with pytest.raises(NotAllowed, match="platform admin"):
        sync.sync(harness.rt, CAROL)
    assert catalog.listing(harness.rt) == []
    harness.sync()
    sync.sync(harness.rt, ALICE)


def test_syncs_at_once_make_one_version(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Web and command line may both have read the change before either of them keeps it."""
    read, line = sync._read_folder, threading.Barrier(3)

    def read_together(folder: Path) -> object:
        found = read(folder)
        line.wait(10)
        return found

    monkeypatch.setattr(sync, "_read_folder", read_together)
    for number, text in enumerate((DEMO, CHANGED, DEMO), start=1):
        harness.write(demo=text)
        results = at_once(*[lambda: sync.sync(harness.rt, access.SYSTEM)] * 3)
        assert errors(results) == []
        assert sorted(len(each.changes) for each in results) == [0, 0, 1]
        assert len(catalog.history(harness.rt, "demo")) == number


def _git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Carol", "-c", "user.email=carol@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_author_and_commit_come_from_git(harness: Harness) -> None:
    """The last committer by e-mail, as far as somebody is known by it; a file with local changes has no author."""
    _git(harness.folder, "init", "-q")
    harness.write(demo=DEMO)
    _git(harness.folder, "add", ".")
    _git(harness.folder, "commit", "-q", "-m", "Add demo")
    head = _git(harness.folder, "rev-parse", "HEAD")
    known = {"carol@example.com": CAROL.user_id}
    sync.sync(harness.rt, access.SYSTEM, known.get)
    first = catalog.version(harness.rt, "demo")
    assert (first.author, first.author_email, first.source_commit) == (CAROL.user_id, "carol@example.com", head)

    harness.write(demo=CHANGED)
    sync.sync(harness.rt, access.SYSTEM, known.get)
    dirty = catalog.version(harness.rt, "demo")
    assert (dirty.number, dirty.author, dirty.author_email, dirty.source_commit) == (2, None, None, None)


def test_a_committer_whom_nobody_knows_is_kept_by_address(harness: Harness) -> None:
    """So that approving one's own edit can still be refused."""
    _git(harness.folder, "init", "-q")
    harness.write(demo=DEMO)
    _git(harness.folder, "add", ".")
    _git(harness.folder, "commit", "-q", "-m", "Add demo")
    sync.sync(harness.rt, access.SYSTEM, lambda _email: None)
    version = catalog.version(harness.rt, "demo")
    assert (version.author, version.author_email) == (None, "carol@example.com")


def test_a_file_git_does_not_know_has_no_author(harness: Harness) -> None:
    """Untracked, or in no repository at all."""
    _git(harness.folder, "init", "-q")
    harness.sync(demo=DEMO)
    assert catalog.version(harness.rt, "demo").source_commit is None
