"""The tutorial, typed as it stands: every command of its page, by those people, in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployment import CHANNEL, Deployment, wait_for

from bot.demo import TARGET_PORT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$|^(Now change a word.*?)\n\n", re.MULTILINE | re.DOTALL)
"""What is to be done: a block with its language, or the one sentence that tells of an edit."""
RUN = re.compile(r"R-[0-9A-Z]{6}")
PEOPLE = {"Alice": "U0ALICE01", "Dave": "U0DAVE001", "Carol": "U0CAROL01", "Oscar": "U0OSCAR01"}
DEMO = f"http://127.0.0.1:{TARGET_PORT}"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """What `make demo` leaves behind: its runbooks and its people, restart-checkout approved."""
    with Deployment(tmp_path_factory.mktemp("tutorial") / "bot") as running:
        running._extra["PUBLIC_URL"] = running.base
        for path in (ROOT / "runbooks.d").glob("*.yaml"):
            running.runbook(path.stem, path.read_text().replace(DEMO, "TARGET"))
        shutil.copytree(ROOT / "runbooks.d" / "_templates", running.runbooks / "_templates")
        (running.folder / ".venv").symlink_to(Path(sys.prefix))
        running.up()
        wait_for(lambda: "usergroups.list" in running.calls())
        running.approve_runbook("restart-checkout")
        yield running


class Reader:
    """Somebody who does what the page says, and checks that what it shows comes."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.run = ""
        self.secret = ""
        self.saved = ""
        self.environment = deployment.environment()

    def talk(self, block: str) -> None:
        """Lines of a channel: what people type or press, and what is answered."""
        who, before = "", 0
        for line in block.splitlines():
            name, words = re.match(r"(\w+): +(.*)", line).groups()
            if name == "Bot":
                self._answered(who, words, before)
            elif name == "Card":
                self._card(words)
            else:
                who, before = PEOPLE[name], len(self._private(PEOPLE[name]))
                self._act(who, words)

    def _act(self, who: str, words: str) -> None:
        if words.startswith("presses "):
            self._press(who, words.removeprefix("presses "))
            return
        assert words.startswith("/runbook "), words
        self.deployment.command(who, self._filled(words.removeprefix("/runbook ")))

    def _filled(self, words: str) -> str:
        return words.replace("R-…", self.run).replace("rbk_…", self.secret)

    def _answered(self, who: str, words: str, before: int) -> None:
        told = wait_for(lambda: "\n".join(self._private(who)[before:]), 20, f"an answer like {words}")
        assert fits(words, told), f"{words!r} is not in {told!r}"
        found = RUN.findall(told)
        self.run = found[0] if found else self.run
        secret = re.search(r"rbk_[\w-]+", told)
        self.secret = secret[0] if secret else self.secret

    def _private(self, who: str) -> list[str]:
        return [texts(each) for each in self.deployment.messages(who) if each.get("ephemeral")]

    def _card(self, words: str) -> None:
        def shown() -> bool:
            cards = [each["text"] for each in self.deployment.messages() if self.run in each["text"]]
            return any(fits(words, each) for each in cards)

        wait_for(shown, 40, f"a card like {words!r} of {self.run}; the channel: {self.deployment.texts()}")

    def _press(self, who: str, label: str) -> None:
        def button() -> tuple[str, str] | None:
            for message in reversed(self.deployment.messages(who)):
                for element in elements(message):
                    if element["text"]["text"] == label and self.run in element.get("value", ""):
                        return message["ts"], element["action_id"]
            return None

        ts, action = wait_for(button, 20, f"a button {label} of {self.run}")
        self.deployment._post("click", user=who, channel=CHANNEL, message_ts=ts, action_id=action)

    def type(self, block: str) -> None:
        """Lines of a terminal: what is typed behind `$`, and what comes."""
        commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
        for command, _, shown in (each.partition("\n") for each in commands):
            told = self._typed(self._filled(command))
            for line in shown.strip().splitlines():
                assert fits(line, told), f"{command}: {line!r} is not in {told!r}"

    def _typed(self, command: str) -> str:
        if command.startswith("kill "):
            self.deployment.kill("worker")
            return ""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value.replace("http://127.0.0.1:3000", self.deployment.base)
            return ""
        environment = {**self.environment, "HOME": str(self.deployment.folder), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.deployment.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        found = RUN.findall(done.stdout)
        self.run = found[0] if found else self.run
        return done.stdout.replace(self.deployment.target, DEMO)

    def save(self, block: str) -> None:
        """A file that is to be written."""
        slug = re.search(r"^id: (\S+)", block, re.MULTILINE)[1]
        self.saved = block
        self.deployment.runbook(slug, block.replace(DEMO, "TARGET"))

    def edit(self, sentence: str) -> None:
        """A change to the file that was saved last: in its last line, write one word for another."""
        new, old = re.search(r"in the last line, write `(\w+)` for `(\w+)`", sentence).groups()
        before, _, last = self.saved.rstrip().rpartition("\n")
        assert old in last
        self.save(f"{before}\n{last.replace(old, new)}\n")


def fits(pattern: str, text: str) -> bool:
    """Whether the parts between … follow each other in the text, where blanks are all one."""
    parts = [" ".join(part.split()) for part in re.split(r"R-…|…", pattern)]
    found = re.search(".*".join(map(re.escape, parts)), " ".join(plain(text).split()), re.DOTALL)
    return found is not None


def plain(text: str) -> str:
    """A Slack text without its marks."""
    return re.sub(r"[`*]", "", text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def elements(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for block in message.get("blocks", []):
        yield from (each for each in block.get("elements", []) if block["type"] == "actions" and "text" in each)


def texts(value: Any) -> str:
    """Every text of a message's blocks."""
    if isinstance(value, dict):
        own = [each for key, each in value.items() if key in ("text", "title") and isinstance(each, str)]
        return "\n".join([*own, *(texts(part) for part in value.values() if isinstance(part, dict | list))])
    return "\n".join(texts(part) for part in value) if isinstance(value, list) else ""


@pytest.mark.slow
def test_the_tutorial_can_be_followed(deployment: Deployment) -> None:
    """From the first line to the last; Slack would have taken every message."""
    reader = Reader(deployment)
    steps = {
        "text": reader.talk, "console": reader.type, "yaml": reader.save, "sh": lambda _block: None, "": reader.edit
    }  # fmt: skip
    done = [language for language, block, edit in BLOCK.findall(PAGE) if steps[language](block or edit) is None]
    assert done.count("") == 1
    assert done.count("text") >= 8
    assert done.count("console") >= 4
    assert (deployment.folder / "evidence.json").stat().st_size > 1000
    assert deployment.problems() == []


def test_answers_are_really_compared() -> None:
    """In order, whatever lies between; a word that is missing or late is noticed."""
    assert fits("Started … (hello@1)", "Started `R-7K2M9Q` (`hello@1`).")
    assert not fits("Started … (hello@2)", "Started `R-7K2M9Q` (`hello@1`).")
    assert not fits("(hello@1) … Started", "Started `R-7K2M9Q` (`hello@1`).")


def test_only_make_demo_is_not_typed() -> None:
    """What the page has in a block that is not typed is the start, which has a test of its own."""
    assert [block for language, block, _ in BLOCK.findall(PAGE) if language == "sh"] == ["make demo\n"]
