"""Following a run to its end: a step list that is redrawn for people, a line an event for logs.

To stop following is not to cancel: the run goes on.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TextIO

from bot.cli.connect import Api, Events, Happened, Refused, Unreachable
from bot.cli.show import ended, fitted, run_lines, safe
from bot.cli.show_history import event_line
from storage.records import Json

DRAW_EVERY_S = 1.0
ASK_AT_LEAST_S = 0.4
ASK_EVERY_S = 10.0
_GIVE_UP_S = 60.0


class Watcher:
    """Reads the events of a run in a thread, coming back where the stream breaks off, until the run has ended.

    `heard` gets them, and None at the end; `trouble` is what ended it otherwise.
    """

    def __init__(self, api: Api, run: str, after: int) -> None:
        self._api, self._run, self._after = api, run, after
        self.heard: queue.Queue[Happened | None] = queue.Queue()
        self.trouble: Exception | None = None
        self._stream: Events | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._over.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join(timeout=5)

    def _listen(self) -> None:
        heard_at = time.monotonic()
        while not self._over.is_set():
            try:
                if self._told():
                    heard_at = time.monotonic()
                if ended(self._api.get(f"executions/{self._run}")):
                    break
            except Refused as error:
                self.trouble = error
                break
            except Unreachable as error:
                if time.monotonic() - heard_at > _GIVE_UP_S:
                    self.trouble = error
                    break
            self._over.wait(1.0)
        self.heard.put(None)

    def _told(self) -> bool:
        """Read one stream to its end; whether anything was in it."""
        before = self._after
        with self._api.events(self._run, before) as events:
            self._stream = events
            for event in events if not self._over.is_set() else ():
                self._after = event.seq
                self.heard.put(event)
        return self._after > before


def follow(api: Api, run: Json, timeout_s: float | None, *, quiet: bool, out: TextIO | None = None) -> Json:
    """The run as it is when it has ended or the time is up, shown meanwhile unless `quiet`.

    `run` is what the API says of it now. Raises `Refused`, `Unreachable`.
    """
    out = out or sys.stdout
    until = None if timeout_s is None else time.monotonic() + timeout_s
    watcher = Watcher(api, run["id"], 0 if quiet or not _redraws(out) else run["last_event"])
    try:
        if quiet:
            return _watched(api, run, watcher, until, lambda _event: None)
        if _redraws(out):
            return _redrawn(api, run, watcher, until, out)
        tell = partial(print, file=out, flush=True)
        return _watched(api, run, watcher, until, lambda event: tell(safe([event_line(event.data)])))
    finally:
        watcher.close()


def _watched(api: Api, run: Json, watcher: Watcher, until: float | None, tell: Callable[[Happened], None]) -> Json:
    while True:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            break
        try:
            event = watcher.heard.get(timeout=min(ASK_EVERY_S, left or ASK_EVERY_S))
        except queue.Empty:
            continue
        if event is None:
            if watcher.trouble is not None:
                raise watcher.trouble
            break
        tell(event)
    return api.get(f"executions/{run['id']}")


def _redrawn(api: Api, run: Json, watcher: Watcher, until: float | None, out: TextIO) -> Json:
    screen = _Screen(out)
    asked = time.monotonic()
    changed, over = False, ended(run)
    while True:
        screen.draw(run, over=over)
        if over or (until is not None and time.monotonic() >= until):
            return run
        wait = DRAW_EVERY_S if until is None else min(DRAW_EVERY_S, max(0.01, until - time.monotonic()))
        try:
            heard = watcher.heard.get(timeout=min(ASK_AT_LEAST_S, wait) if changed else wait)
            changed, over = True, heard is None
        except queue.Empty:
            pass
        if watcher.trouble is not None:
            raise watcher.trouble
        since = time.monotonic() - asked
        if over or since >= ASK_EVERY_S or (changed and since >= ASK_AT_LEAST_S):
            run, asked, changed = api.get(f"executions/{run['id']}"), time.monotonic(), False
            over = over or ended(run)


class _Screen:
    """Draws over what it drew before. The lines are made safe first; only its own codes move the cursor."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = 0

    def draw(self, run: Json, *, over: bool) -> None:
        size = shutil.get_terminal_size()
        lines = run_lines(run, time.time(), None if over else max(3, size.lines - 8))
        shown = [fitted(safe([line]), size.columns - 1) for line in lines]
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        self._out.write(back + "".join(f"{line}\n" for line in shown))
        self._out.flush()
        self._drawn = min(len(shown), size.lines - 1)


def _redraws(out: TextIO) -> bool:
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
