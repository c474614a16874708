"""Watching the runbooks folder: a change is synced once the files have stopped changing."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from engine.access.policy import SYSTEM
from engine.catalog.sync import FindAuthor, SyncReport, sync
from engine.definition.step_templates import FOLDER
from engine.runtime import Runtime

log = logging.getLogger(__name__)

EVERY_S = 1.0

Signature = tuple[tuple[str, int, int], ...]


class FolderWatch:
    """Syncs when started and whenever the folder has changed and then been still for a round."""

    def __init__(self, rt: Runtime, find_author: FindAuthor | None = None) -> None:
        self._rt = rt
        self._find_author = find_author
        self._synced: Signature | None = None
        self._seen: Signature | None = None

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop`. What goes wrong is logged and tried again."""
        while not stop.is_set():
            try:
                self.sync_if_changed()
            except Exception:
                log.exception("the runbooks folder could not be synced; trying again")
            stop.wait(EVERY_S)

    def sync_if_changed(self) -> SyncReport | None:
        """One round; the report when there was something to sync."""
        now = signature(self._rt.settings.runbooks_dir)
        still = self._synced is None or now == self._seen
        self._seen = now
        if now == self._synced or not still:
            return None
        report = sync(self._rt, SYSTEM, self._find_author)
        self._synced = now
        _log(report)
        return report


def signature(folder: Path) -> Signature:
    """Names, sizes and times of the YAML files in the folder and of its templates: equal while nothing was changed.

    Links are not followed.
    """
    try:
        paths = sorted(folder.iterdir())
        templates = folder / FOLDER
        if templates in paths and not templates.is_symlink() and templates.is_dir():
            paths += sorted(templates.iterdir())
    except OSError as error:
        return (("unreadable", error.errno or 0, 0),)
    return tuple(_file_signature(path) for path in paths if path.suffix in (".yaml", ".yml"))


def _file_signature(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.lstat()
    except OSError as error:  # gone since it was listed
        return str(path), -(error.errno or 1), 0
    return str(path), stat.st_size, stat.st_mtime_ns


def _log(report: SyncReport) -> None:
    for change in report.changes:
        log.info("runbook %s@%d: %s", change.slug, change.number, change.kind)
    for problem in report.problems:
        log.warning("%s", problem)
