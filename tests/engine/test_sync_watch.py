"""The folder is watched: a change is synced once it has settled, and trouble is tried again."""

from __future__ import annotations

import os
import threading
import time

import pytest
from harness import Harness, http, runbook

from engine.catalog import catalog, folder_watch
from engine.catalog.folder_watch import FolderWatch


def touch(harness: Harness, name: str, text: str) -> None:
    """Write a file with a time of its own: two writes within a clock tick of the file system are two changes."""
    path = harness.folder / name
    path.write_text(text)
    stamp = time.time_ns() + len(text) * 1_000_000_000
    os.utime(path, ns=(stamp, stamp))


def test_a_watch_syncs_at_once_and_then_only_changes(harness: Harness) -> None:
    """An unchanged folder is not read again."""
    harness.write(demo=runbook("demo", http("a")))
    watch = FolderWatch(harness.rt)
    first = watch.sync_if_changed()
    assert first is not None
    assert [each.kind for each in first.changes] == ["new"]
    assert [watch.sync_if_changed(), watch.sync_if_changed()] == [None, None]


def test_a_change_is_synced_when_it_has_been_still_for_a_round(harness: Harness) -> None:
    """A file that is still being written is left alone."""
    watch = FolderWatch(harness.rt)
    touch(harness, "demo.yaml", runbook("demo", http("a")))
    watch.sync_if_changed()
    touch(harness, "demo.yaml", runbook("demo", http("ab")))
    assert watch.sync_if_changed() is None
    touch(harness, "demo.yaml", runbook("demo", http("abc")))
    assert watch.sync_if_changed() is None
    report = watch.sync_if_changed()
    assert report is not None
    assert [(each.kind, each.number) for each in report.changes] == [("changed", 2)]


def test_a_link_to_nowhere_keeps_no_change_from_being_seen(harness: Harness) -> None:
    """One thing that is no file is a problem of its own."""
    (harness.folder / "gone.yaml").symlink_to("nowhere")
    harness.write(demo=runbook("demo", http("a")))
    watch = FolderWatch(harness.rt)
    watch.sync_if_changed()
    touch(harness, "demo.yaml", runbook("demo", http("ab")))
    assert watch.sync_if_changed() is None
    report = watch.sync_if_changed()
    assert report is not None
    assert [(each.kind, each.number) for each in report.changes] == [("changed", 2)]


def test_other_files_are_not_looked_at(harness: Harness) -> None:
    """A README beside the runbooks is no change."""
    harness.write(demo=runbook("demo", http("a")))
    watch = FolderWatch(harness.rt)
    watch.sync_if_changed()
    (harness.folder / "README.md").write_text("x")
    assert [watch.sync_if_changed(), watch.sync_if_changed()] == [None, None]


def test_a_sync_that_failed_is_tried_again(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database was away: nothing is taken for synced."""
    harness.write(demo=runbook("demo", http("a")))
    monkeypatch.setattr(folder_watch, "EVERY_S", 0.01)
    original, failures = folder_watch.sync, [1, 1]

    def sometimes(*arguments):
        if failures:
            failures.pop()
            raise ZeroDivisionError
        return original(*arguments)

    monkeypatch.setattr(folder_watch, "sync", sometimes)
    stop = threading.Event()
    thread = threading.Thread(target=FolderWatch(harness.rt).run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not catalog.listing(harness.rt) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        stop.set()
        thread.join(10)
    assert [each.slug for each in catalog.listing(harness.rt)] == ["demo"]


def test_a_folder_that_is_gone_is_told_from_an_empty_one(harness: Harness) -> None:
    """So that its coming back is a change."""
    for path in harness.folder.iterdir():
        path.unlink()
    assert folder_watch.signature(harness.folder) == ()
    harness.folder.rmdir()
    assert folder_watch.signature(harness.folder)[0][0] == "unreadable"
