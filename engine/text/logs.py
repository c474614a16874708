"""Logging that cannot show a secret: masking happens where the finished text leaves the process."""

from __future__ import annotations

import copy
import logging
import re
import sys
import threading
import traceback
from contextlib import suppress
from types import TracebackType

from engine.database_errors import OnceAMinute
from engine.text.redaction import Redactor
from engine.text.visible_characters import visible_line

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

TOKEN_PREFIX = "rbk_"  # noqa: S105 - no secret, but what all of them begin with
"""How every token's secret begins, so that people, scanners and the masking of logs know one when they see it."""

_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{20,}}")
"""What a token looks like: its secret is kept nowhere, so it is known by its looks."""

FLOORS = {
    "httpx": logging.WARNING,  # logs whole URLs at INFO
    "httpcore": logging.WARNING,
    "urllib3": logging.WARNING,
    "peewee": logging.INFO,  # logs SQL with its parameters at DEBUG
    "slack_sdk": logging.INFO,  # logs bodies at DEBUG
    "slack_bolt": logging.INFO,
    "dramatiq": logging.INFO,
    "websockets": logging.INFO,
}
"""Libraries that say too much below these levels, whatever LOG_LEVEL is."""


class RedactingHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error. Message, arguments, exception and stack are masked, each whole.

    Of the database's trouble there is one record a minute. A record is one line, whatever is in its message; the lines
    of its traceback stand below, indented, so that no line of theirs can pass for a record.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(sys.stderr)
        self._redactor = redactor
        self._troubles = OnceAMinute()
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless the database's trouble was told of within the minute."""
        shortened = self._troubles.shortened(record)
        if shortened is not None:
            super().emit(shortened)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and its traceback indented below."""
        plain = copy.copy(record)
        plain.exc_info = plain.exc_text = plain.stack_info = None
        below = "\n".join(filter(None, [self._exception(record), record.stack_info]))
        lines = [f"  {visible_line(line)}" for line in self._masked(below).split("\n")] if below else []
        return "\n".join([visible_line(self._masked(super().format(plain))), *lines])

    @staticmethod
    def _exception(record: logging.LogRecord) -> str | None:
        shown = record.exc_info and record.exc_info[1]
        return "".join(traceback.format_exception(shown)).rstrip() if shown else record.exc_text

    def _masked(self, text: str) -> str:
        return _TOKEN.sub("‹token›", self._redactor.redact(text))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """A record that cannot be written is reported by its place only: its arguments may hold a secret.

        Where that cannot be written either, as on a full disk, it is lost, and whoever logged it goes on.
        """
        reason = visible_line(self._masked("".join(traceback.format_exception_only(sys.exc_info()[1])).strip()))
        with suppress(OSError):
            print(f"a log record of {record.pathname}:{record.lineno} was lost: {reason}", file=sys.__stderr__)


def install_logging(level: str, redactor: Redactor) -> None:
    """Make one masked handler the only one of the process, for uncaught exceptions and warnings too.

    Call it after libraries were imported; a server that brings its own logging set-up must be told not to use it.
    """
    root = logging.getLogger()
    root.handlers[:] = [RedactingHandler(redactor)]
    root.setLevel(level)
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    for name, floor in FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, root.level))
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("uncaught").critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        name = args.thread.name if args.thread else "a thread"
        logging.getLogger("uncaught").critical("uncaught exception in %s", name, exc_info=exc_info)
