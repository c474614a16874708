"""`python -m bot.simulator`: a practice workspace on loopback until it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from bot.simulator.config import DEFAULT_EVENTS, Config
from bot.simulator.server import PortTaken, running_simulator


def _parser() -> argparse.ArgumentParser:
    default = Config()
    parser = argparse.ArgumentParser(
        prog="python -m bot.simulator",
        description="A Slack-compatible practice workspace. Each option can also be set as PRACTICE_<OPTION>.",
    )
    parser.add_argument("--port", type=int, default=_env("PORT", "3900"), help="0 picks a free one")
    parser.add_argument("--bot-url", default=_env("BOT_URL", default.bot_url), help="where the bot takes requests")
    parser.add_argument("--signing-secret", default=_env("SIGNING_SECRET", default.signing_secret))
    parser.add_argument("--bot-token", default=_env("BOT_TOKEN", default.bot_token))
    parser.add_argument("--app-token", default=_env("APP_TOKEN", default.app_token))
    parser.add_argument("--command", default=_env("COMMAND", default.command), help="the bot's slash command")
    parser.add_argument("--socket-mode", action="store_true", default=_flag("SOCKET_MODE"))
    parser.add_argument("--target-port", type=int, default=_env("TARGET_PORT", "") or None, help="the sample estate")
    parser.add_argument("--target-token", default=_env("TARGET_TOKEN", default.target_token))
    parser.add_argument("--rate-limits", action="store_true", default=_flag("RATE_LIMITS"))
    parser.add_argument(
        "--lenient",
        action="store_true",
        default=_flag("LENIENT"),
        help="ignore unknown Web API arguments, as Slack does",
    )
    parser.add_argument(
        "--events", default=_env("EVENTS", ",".join(sorted(DEFAULT_EVENTS))), help="the bot's event subscriptions"
    )
    return parser


def _env(name: str, default: str) -> str:
    return os.environ.get(f"PRACTICE_{name}", default)


def _flag(name: str) -> bool:
    return _env(name, "").lower() in ("1", "true", "yes", "on")


def _config(options: argparse.Namespace) -> Config:
    return Config(
        port=options.port,
        bot_url=options.bot_url,
        signing_secret=options.signing_secret,
        bot_token=options.bot_token,
        app_token=options.app_token,
        command=options.command,
        socket_mode=options.socket_mode,
        target_port=options.target_port,
        target_token=options.target_token,
        strict=not options.lenient,
        rate_limits=options.rate_limits,
        events=frozenset(options.events.split(",")),
    )


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM. Returns 0, or 2 when a port cannot be used."""
    config = _config(_parser().parse_args(arguments))
    stopped = threading.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: stopped.set())
    try:
        with running_simulator(config) as simulator:
            print(f"practice workspace: {simulator.url}", flush=True)
            if simulator.target_url:
                print(f"practice target: {simulator.target_url}", flush=True)
            stopped.wait()
    except PortTaken as refusal:
        print(refusal, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
