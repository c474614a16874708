"""What tells a process of the bot to stop."""

from __future__ import annotations

import signal


def stop_signals() -> list[signal.Signals]:
    """What ends the bot: SIGHUP too, unless `nohup` said that the terminal's end is to be ignored."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]
