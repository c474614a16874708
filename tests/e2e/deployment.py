"""A whole deployment as real processes: `runbook up` beside a practice workspace, and people acting in it."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bot.simulator import Config, Simulator

T = TypeVar("T")

CHANNEL = "C0INC0001"
ALICE, DAVE, CAROL, BOB, OSCAR = "U0ALICE01", "U0DAVE001", "U0CAROL01", "U0BOB0001", "U0OSCAR01"
SIGNING_SECRET = "practice-signing-secret"
LB_TOKEN = "demo-lb-token-5f1c"

ACCESS = """
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {admins: [U0BOB0001], members: [S0PAYMENTS]}
"""


def wait_for(look: Callable[[], T | None], seconds: float = 30.0, what: str = "") -> T:
    """What `look` finds, as soon as it finds something; fails when the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what or look} did not come true in {seconds:g} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """One bot in one folder. `mode` is socket or http. Use as a context manager."""

    def __init__(self, folder: Path, *, mode: str = "socket", database: str = "", **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.runbooks = folder / "runbooks.d"
        self.runbooks.mkdir(parents=True)
        (self.runbooks / "_access.yaml").write_text(ACCESS)
        config = Config(
            socket_mode=mode == "socket",
            bot_url=f"{self.base}/slack/events",
            target_port=0,
            signing_secret=SIGNING_SECRET,
            target_token=LB_TOKEN,
        )
        self.slack = Simulator(config)
        self._mode = mode
        self._database = database
        self._extra = environment
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Deployment:
        self.slack.start()
        self.http = httpx.Client(base_url=self.slack.url, timeout=10, trust_env=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop; a call that Slack's own rules forbid fails whatever test it was made in."""
        mistakes = [] if kind else [each for each in self.problems() if each["mistake"]]
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            self.http.close()
            self.slack.stop()
        assert not mistakes, mistakes

    # The bot

    @property
    def target(self) -> str:
        assert self.slack.target_url is not None
        return self.slack.target_url

    def environment(self) -> dict[str, str]:
        secret = (
            {"SLACK_APP_TOKEN": "xapp-practice"} if self._mode == "socket" else {"SLACK_SIGNING_SECRET": SIGNING_SECRET}
        )
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PORT": str(self.port),
            "SLACK_BOT_TOKEN": "xoxb-practice",
            "SLACK_API_URL": self.slack.api_url,
            "EGRESS_ALLOW": self.target.removeprefix("http://"),
            "RUNBOOK_SECRET_LB_TOKEN": LB_TOKEN,
            **secret,
            **({"DATABASE_URL": self._database} if self._database else {}),
            **self._extra,
        }

    def runbook(self, name: str, text: str) -> None:
        """Put a file into runbooks.d; TARGET in it is the sample estate's address."""
        (self.runbooks / f"{name}.yaml").write_text(text.replace("TARGET", self.target))

    def up(self, seconds: float = 30.0, descriptors: int | None = None) -> None:
        """Start `runbook up`, its processes with so many descriptors at most, and wait until it is ready."""
        few = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2)) if descriptors else None
        with (self.folder / "bot.log").open("ab") as log:
            command = [sys.executable, "-P", "-m", "bot.cli", "up"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True,
                preexec_fn=few,
            )  # fmt: skip
        wait_for(self.ready, seconds, "readiness")

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.base}/readyz", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, seconds: float = 20.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"the bot did not stop within {seconds} s:\n{self.log()}") from None

    def child(self, word: str) -> int | None:
        """The process id of the child whose command line says `word`, or None."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ").split()
            except OSError:
                continue
            if any(Path(each).name == word for each in words):
                return int(pid)
        return None

    def kill(self, word: str) -> int:
        """kill -9 a child, and wait until another has taken its place."""
        pid = wait_for(lambda: self.child(word), 10, f"a {word} process")
        os.kill(pid, signal.SIGKILL)
        return wait_for(lambda: (new := self.child(word)) and new != pid and new, 15, f"a new {word} process")

    def log(self) -> str:
        path = self.folder / "bot.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # People

    def command(self, user: str, text: str) -> dict[str, Any]:
        return self._post("command", user=user, channel=CHANNEL, text=text)

    def click(self, user: str, action: str, **more: Any) -> dict[str, Any]:
        """Click the newest such button that this person sees, waiting for one."""
        found = wait_for(lambda: self.button(user, action), 30, f"a button {action} for {user}")
        return self._post("click", user=user, channel=CHANNEL, message_ts=found, action_id=action, **more)

    def button(self, user: str, action: str) -> str | None:
        for message in reversed(self.messages(user)):
            for block in message.get("blocks", []):
                for element in block.get("elements", []) if block["type"] == "actions" else []:
                    if element.get("action_id") == action:
                        return str(message["ts"])
        return None

    def messages(self, user: str = CAROL) -> list[dict[str, Any]]:
        """What a person sees in the channel: messages, each followed by its thread, and what only they see."""
        found = []
        for message in self._get("messages", channel=CHANNEL, user=user)["messages"]:
            found.append(message)
            if message.get("reply_count"):
                thread = self._get("messages", channel=CHANNEL, user=user, thread_ts=message["ts"])["messages"]
                found += [each for each in thread if each["ts"] != message["ts"]]
        return found

    def texts(self, user: str = CAROL) -> list[str]:
        return [message["text"] for message in self.messages(user)]

    def said(self, user: str, part: str, seconds: float = 10.0) -> str:
        """The newest text this person sees that holds `part`, waiting for it."""

        def look() -> str | None:
            return next((text for text in reversed(self.texts(user)) if part in text), None)

        try:
            return wait_for(look, seconds)
        except AssertionError:
            seen = "\n".join(self.texts(user))
            raise AssertionError(f"nobody told {user} {part!r}; they see:\n{seen}\n{self.log()[-4000:]}") from None

    def approve_runbook(self, slug: str) -> None:
        self.command(ALICE, f"admin approve {slug}@1")
        self.said(ALICE, "is approved")

    def ended(self, seconds: float = 45.0) -> str:
        """The card's last word on the channel's newest run."""

        def look() -> str | None:
            words = ("Succeeded", "Failed", "Cancelled")
            cards = [text for text in self.texts() if any(f"· {word}" in text for word in words)]
            return cards[-1] if cards else None

        return wait_for(look, seconds, f"the end of the run; the bot's log:\n{self.log()[-4000:]}")

    def effects(self) -> dict[str, int]:
        """How often each effect of the sample estate was asked for, by `action service`."""
        listed = httpx.get(f"{self.target}/effects", trust_env=False).json()["effects"]
        keys = [(f"{each['action']} {each['service']}", each["key"], each["count"]) for each in listed]
        assert len({key for _, key, _ in keys}) == len(keys), f"one effect under two keys: {listed}"
        return {name: count for name, _, count in keys}

    def slow(self, path: str, ms: int, times: int = 1, status: int | None = None) -> None:
        """Have the sample estate take its time, or answer `status`, for the next calls of a path."""
        body = {"path": path, "times": times, "delay_ms": ms, **({"status": status} if status else {})}
        httpx.post(f"{self.target}/faults", json=body, trust_env=False).raise_for_status()

    def problems(self) -> list[Any]:
        """What Slack would have refused."""
        return list(self._get("problems")["problems"])

    def calls(self) -> str:
        return json.dumps(self._get("calls"))

    def _get(self, path: str, **query: str) -> Any:
        return self.http.get(f"/control/{path}", params=query).raise_for_status().json()

    def _post(self, path: str, **body: Any) -> Any:
        return self.http.post(f"/control/{path}", json=body).raise_for_status().json()
