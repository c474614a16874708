"""`make demo`: the bot and the practice workspace on this machine, and one incident played in its channel."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bot.demo_incident import Incident
from bot.stop_signals import stop_signals
from engine.config import home
from engine.config.secrets import VARIABLE_PREFIX
from engine.config.setting_values import hook_senders
from engine.config.settings import SETTINGS
from engine.text.yes_no import YES

HOME = Path(__file__).resolve().parents[1]
TARGET_PORT = 3901
"""The address that `runbooks.d/restart-checkout.yaml` names."""

START_S = 60.0
STOP_S = 20.0


class CannotStart(Exception):
    """The demo can't go on; the message is the sentence for the person."""


def main(arguments: Sequence[str] | None = None) -> int:
    home.start_private()
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play the incident and exit")
    once = parser.parse_args(arguments).once
    for number in stop_signals():
        signal.signal(number, _interrupt)
    try:
        return _demo(once)
    except CannotStart as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped")
        return 0 if not once else 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(once: bool) -> int:
    bot_port, page_port, target_port = _ports()
    folder = HOME / "var" / "demo"
    _make_anew(folder)
    books = _runbooks(folder, target_port)
    print("Starting the practice workspace and the bot …", flush=True)
    page = f"http://127.0.0.1:{page_port}"
    settings = _settings(page, bot_port, target_port, books)
    with (
        _process(folder, "workspace", _workspace(page_port, target_port), _environment()) as workspace,
        _process(folder, "bot", [sys.executable, "-P", "-m", "bot.cli", "up"], settings) as bot,
    ):
        _wait(lambda: _answers(f"{page}/control/people"), workspace, folder / "workspace.log")
        _wait(lambda: _answers(f"http://127.0.0.1:{bot_port}/readyz"), bot, folder / "bot.log")
        if not once:  # the address is gone as soon as the incident is over
            print(f"\n  Open {page}/?user=U0CAROL01&channel=C0INC0001\n", flush=True)
        ended_well = _played(page, folder)
        if once:
            return 0 if ended_well else 1
        _stay(page, bot, workspace, folder)
    return 0


def _played(page: str, folder: Path) -> bool:
    """Play the incident; False when it did not end as it should, with the sentence that says why."""
    try:
        return Incident(page).play()
    except (TimeoutError, httpx.HTTPError) as error:
        print(f"demo: the incident could not be played: {error}", file=sys.stderr)
        for line in (folder / "bot.log").read_text(errors="replace").splitlines():
            if " WARNING " in line or " ERROR " in line:
                print(f"      the bot said: {line.partition(': ')[2]}", file=sys.stderr)
        return False


def _settings(page: str, port: int, target_port: int, books: Path) -> dict[str, str]:
    """The bot's environment, with the practice workspace's address."""
    return {
        **_environment(),
        "SLACK_BOT_TOKEN": "xoxb-practice",
        "SLACK_APP_TOKEN": "xapp-practice",
        "SLACK_API_URL": f"{page}/api/",
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RUNBOOKS_DIR": str(books),
        "EGRESS_ALLOW": f"127.0.0.1:{target_port}",
        "RUNBOOK_SECRET_LB_TOKEN": "demo-lb-token-5f1c",
    }


def _environment() -> dict[str, str]:
    """This shell's environment without the settings and secrets of a real bot, but for who may send events."""
    own = {setting.name for setting in SETTINGS} - {"HOOK_SENDERS"}
    try:
        senders = hook_senders(os.environ.get("HOOK_SENDERS", ""))
    except ValueError as error:
        raise CannotStart(f"HOOK_SENDERS: {error}.") from error
    theirs = {f"{VARIABLE_PREFIX}{sender.secret.upper()}" for sender in senders}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in own and (name in theirs or not name.startswith(VARIABLE_PREFIX))
    }


def _make_anew(folder: Path) -> None:
    """An empty folder; somebody at a terminal is asked before what an earlier demo left there goes."""
    if folder.exists() and sys.stdin.isatty() and sys.stdout.isatty():
        answer = input(
            f"{folder} has an earlier demo: its runs, its database, its logs. Delete it and begin anew? [Y/n] "
        )
        if answer.strip().lower() not in {"", *YES}:
            raise CannotStart("nothing was deleted. To keep the earlier demo, move its folder elsewhere first.")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CannotStart(f"{folder} cannot be made anew: {error.strerror}.") from error


def _runbooks(folder: Path, target_port: int) -> Path:
    """The folder of runbooks: the one that ships, or where its estate is at another port, a copy that says so."""
    shipped = HOME / "runbooks.d"
    if target_port == TARGET_PORT:
        return shipped
    books = folder / "runbooks.d"
    books.mkdir()
    for path in shipped.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        (books / path.name).write_text(text.replace(f"127.0.0.1:{TARGET_PORT}", f"127.0.0.1:{target_port}"), "utf-8")
    print(f"Port {TARGET_PORT} is taken: the runbooks here are a copy in {books} that calls port {target_port}.")
    return books


def _workspace(port: int, target_port: int) -> list[str]:
    options = ["--port", str(port), "--target-port", str(target_port), "--socket-mode"]
    return [sys.executable, "-P", "-m", "bot.simulator", *options]


@contextmanager
def _process(
    folder: Path, name: str, command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the demo, its words in `NAME.log`, stopped when the block ends however it ends."""
    with (folder / f"{name}.log").open("wb") as log:
        # A group of its own: Ctrl-C reaches the demo alone, which then stops everything in order.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            command, cwd=folder, env=environment, stdout=log, stderr=log, process_group=0
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise CannotStart(f"{log.stem} did not start: {last[0]} (all of it is in {log})")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _ports() -> tuple[int, int, int]:
    """The ports of the bot, of the page and of the estate: those that were named, else the usual ones where free."""
    named = [_named("PORT"), _named("PRACTICE_PORT"), None]
    if named[0] is not None and named[0] == named[1]:
        raise CannotStart("PORT and PRACTICE_PORT must be two different ports.")
    found: list[int] = []
    for port, usual in zip(named, (3000, 3900, TARGET_PORT), strict=True):
        others = {*found, *(each for each in named if each)}
        found.append(port or (usual if usual not in others and _is_free(usual) else _free_port(others)))
    return found[0], found[1], found[2]


def _named(name: str) -> int | None:
    """The port that a variable names, None without one. Raises `CannotStart` where it cannot be used."""
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStart(f"{name}={text} is no port: give a number from 1 to 65535.")
    if not _is_free(int(text)):
        raise CannotStart(f"port {text} is taken by another program. Set {name} to another one.")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: Collection[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _stay(page: str, bot: subprocess.Popen[bytes], workspace: subprocess.Popen[bytes], folder: Path) -> None:
    print(f"\nYours now: {page}/?user=U0CAROL01&channel=C0INC0001   (Ctrl-C stops everything; logs are in {folder})")
    stopped = threading.Event()
    while not stopped.wait(0.5):
        for name, process in (("bot", bot), ("workspace", workspace)):
            if process.poll() is not None:
                raise CannotStart(f"the {name} has ended by itself; its last words are in {folder / name}.log")


if __name__ == "__main__":
    sys.exit(main())
