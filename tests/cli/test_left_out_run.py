"""Which run the command line means where none was named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot import grammar
from bot.cli.invocation import Invocation
from bot.cli.options import Options, Usage


class Runs:
    """An API with these runs, which notes how they were asked for."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.runs, self.asked = runs, {}

    def get(self, path: str, **_: Any) -> dict[str, Any]:
        assert path == "tokens/current"
        return {"person": "U0CAROL01"}

    def all_of(self, path: str, most: int, **asked: Any) -> list[dict[str, Any]]:
        self.asked = asked
        want, state = asked.get("open"), asked.get("status")
        fits = [each for each in self.runs if want in (None, each["open"]) and state in (None, each["status"])]
        return fits[:most]


def run(name: str, status: str) -> dict[str, Any]:
    return {"id": name, "status": status, "open": status in ("RUNNING", "WAITING")}


def invocation(text: str, *runs: dict[str, Any]) -> Invocation:
    return Invocation(Runs(*runs), grammar.parse(text), Options())  # type: ignore[arg-type]


def test_a_retry_means_what_has_failed_since_yesterday() -> None:
    asking = invocation("retry", run("R-OPEN22", "RUNNING"), run("R-FAILED", "FAILED"), run("R-DONE22", "SUCCESS"))
    assert asking.ended_run("FAILED") == ("R-FAILED", ())
    since = datetime.fromisoformat(asking.api.asked["since"])  # type: ignore[attr-defined]
    assert timedelta(hours=23) < datetime.now(UTC) - since < timedelta(hours=25)


def test_what_only_shows_means_the_latest_where_none_is_open() -> None:
    ended = run("R-FAILED", "FAILED"), run("R-DONE22", "SUCCESS")
    assert invocation("why", *ended).shown_run() == ("R-FAILED", ())
    assert invocation("why", *ended, run("R-OPEN22", "WAITING")).shown_run() == ("R-OPEN22", ())


def test_nothing_is_steered_that_has_ended() -> None:
    with pytest.raises(Usage, match="No run of yours is open"):
        invocation("cancel", run("R-FAILED", "FAILED")).run()


def test_several_are_named_and_none_is_chosen() -> None:
    with pytest.raises(Usage, match=r"can be meant: R-FAILED, R-FAIL22\. Say which"):
        invocation("retry", run("R-FAILED", "FAILED"), run("R-FAIL22", "FAILED")).ended_run("FAILED")
    with pytest.raises(Usage, match="No run of yours has failed since yesterday"):
        invocation("retry", run("R-DONE22", "SUCCESS")).ended_run("FAILED")
