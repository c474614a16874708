"""A worker that dies while it tells of a run in Slack: the next one tells all of it, and each thing once.

Slack is asked what stands there already (G8 of docs/durability.md); where it does not say, a thing may come twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Clock, Harness, runbook

from bot.simulator import Config, Simulator
from engine import failpoints
from engine.runtime import Runtime

DRIVER = Path(__file__).with_name("telling_driver.py")
CHANNEL, DIRECT = "C0INC0001", "D0CAROL01"
FILED, LONG, SLOW = "filed", "long", "slow"
LINES = "{% for each in [" + ",".join(["0"] * 600) + "] %}line {{ loop.index }}\n{% endfor %}"
HOUR = {"id": "calm", "type": "delay", "with": {"for": "1h"}}
MOST_POINTS = 200


def message(text: str, **with_: str) -> dict[str, Any]:
    return {"id": "tell", "type": "message", "with": {"text": text, **with_}}


class Telling:
    """A database with the runbooks in it, a practice workspace, and the processes that run and tell, one at a time."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.sim = Simulator(Config(rate_limits=False))
        self.sim.start()
        self.http = httpx.Client(base_url=f"{self.sim.url}/control/", trust_env=False, timeout=30.0)
        self.process = subprocess.Popen([sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        Harness(rt, Clock()).publish(
            runbook(FILED, message("for the record", **{"as": "file"})),
            runbook(LONG, message(LINES)),
            runbook(SLOW, HOUR, expected="1s"),
        )

    def tell(self, slug: str, *points: str, case: str = "once", channel: str = CHANNEL, opens: str = "") -> list[str]:
        """Run and tell of a run, dying at each of `points` in turn; where it died.

        The last process first makes an incident of the channel that it `opens`.
        """
        died: list[str] = []
        for number, point in enumerate([*points, ""]):
            spec = {
                "environment": self._environment(), "folder": str(self.rt.settings.runbooks_dir), "slug": slug,
                "case": case, "channel": channel, "opens": "" if point else opens, "worker": f"{case}-w{number}",
                "dead": [f"{case}-w{each}" for each in range(number)], "failpoint": point or None,
            }  # fmt: skip
            answer = self._process_of(spec)
            if answer["code"] == 0:
                break
            assert answer["code"] == failpoints.EXIT_CODE, answer["said"]
            died.append(answer["said"].rpartition("died at ")[2].strip())
        return died

    def _process_of(self, spec: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(spec).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def _environment(self) -> dict[str, str]:
        known = self.rt.settings
        return {
            "DATABASE_URL": known.database_url.url or f"sqlite:///{known.database_url.path}",
            "RUNBOOKS_DIR": str(known.runbooks_dir), "SLACK_API_URL": self.sim.api_url,
            "SLACK_BOT_TOKEN": self.sim.config.bot_token, "SLACK_SIGNING_SECRET": self.sim.config.signing_secret,
        }  # fmt: skip

    def deny(self, method: str) -> None:
        """Slack lets the bot do this no more."""
        self.http.post("faults", json={"method": method, "kind": "error:missing_scope", "times": 500})

    def posted(self, channel: str = CHANNEL) -> list[dict[str, Any]]:
        query = {"channel": channel, "user": "U0CAROL01", "thread_ts": "*"}
        found: list[dict[str, Any]] = self.http.get("messages", params=query).json()["messages"]
        return found

    def marks(self, channel: str = CHANNEL) -> Counter[str]:
        """How often each thing was told, by its mark, and each file by its name."""
        found = self.posted(channel)
        payloads = [each["metadata"]["event_payload"] for each in found if each.get("metadata")]
        names = [file["name"] for each in found for file in each.get("files") or []]
        return Counter([*(f"{each['run']} {each['key']}" for each in payloads), *names])

    def said(self, words: str, channel: str = CHANNEL) -> int:
        """How many messages beside cards say this."""
        keys = [(each, each.get("metadata", {}).get("event_payload", {}).get("key")) for each in self.posted(channel)]
        return sum(words in each.get("text", "") for each, key in keys if key != "card")

    def files(self) -> list[str]:
        """What the text files that were shared hold."""
        found = [file for each in self.posted() for file in each.get("files") or [] if file["name"].endswith(".txt")]
        return [httpx.get(each["url_private"], trust_env=False).text for each in found]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        self.http.close()
        self.sim.stop()


@pytest.fixture
def telling(rt: Runtime) -> Iterator[Telling]:
    made = Telling(rt)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["share.before:1", "share.after:1"])
def test_a_death_between_a_message_and_its_file(telling: Telling, point: str) -> None:
    """Neither is lost and neither comes twice, whether Slack had the file or not."""
    assert telling.tell(FILED, point) == [point.removesuffix(":1")]
    assert telling.files() == ["for the record"]
    assert telling.said("says it in the file below") == 1
    assert set(telling.marks().values()) == {1}


@pytest.mark.slow
def test_who_dies_twice_over_a_long_text_tells_it_once_and_whole(telling: Telling) -> None:
    assert telling.tell(LONG, "share.before:1", "share.after:1") == ["share.before", "share.after"]
    (text,) = telling.files()
    assert text.splitlines()[-1] == "line 600"
    assert set(telling.marks().values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_where_slack_does_not_let_the_bot_look_a_file_may_come_twice(telling: Telling) -> None:
    """It is not lost, and its message, which was noted, comes once."""
    telling.deny("conversations.replies")
    assert telling.tell(FILED, "share.after:1") == ["share.after"]
    assert telling.files() == ["for the record"] * 2
    assert telling.said("says it in the file below") == 1


@pytest.mark.slow
@pytest.mark.parametrize("channel", [CHANNEL, ""])
def test_a_death_between_an_overrun_and_its_telling(telling: Telling, channel: str) -> None:
    """Told once: in the thread, or directly of a run that no channel shows."""
    assert telling.tell(SLOW, "tell_longer.before:1", "tell_longer.after:1", channel=channel) == [
        "tell_longer.before",
        "tell_longer.after",
    ]
    where = channel or DIRECT
    assert telling.said("longer than expected", where) == 1
    assert set(telling.marks(where).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_notice_that_was_told_before_a_death_is_not_told_again_behind_another(telling: Telling) -> None:
    """What the dead one told last is looked for, also where another notice has come meanwhile and is told first."""
    assert telling.tell(SLOW, "post.after:1", channel="", opens=CHANNEL) == ["post.after"]
    assert telling.said("Incident opened") == 1
    assert telling.said("longer than expected", DIRECT) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("slug", "channel"), [(FILED, CHANNEL), (SLOW, "")])
def test_a_death_at_every_single_point(telling: Telling, slug: str, channel: str) -> None:
    """At the first commit, message or file, at the second, and so on; nothing is told twice, or not at all."""
    for number in range(1, MOST_POINTS):
        case = f"k{number}"
        died = telling.tell(slug, f"*:{number}", case=case, channel=channel)
        assert telling.said("longer than expected" if slug == SLOW else "file below", channel or DIRECT) == number
        assert set(telling.marks(channel or DIRECT).values()) == {1}
        if not died:
            break
    assert 5 < number < MOST_POINTS
