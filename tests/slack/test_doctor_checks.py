"""What the doctor learns from Slack: tokens, scopes, and whether it can be asked at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bot.simulator import Config, Simulator
from bot.slack import doctor_checks
from bot.slack.client import QUIET
from engine.config import settings
from engine.doctor import Finding, Level

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    running = Simulator(Config(socket_mode=True))
    running.start()
    yield running
    running.stop()


def asked(sim: Simulator, tmp_path: Path, **changed: str) -> dict[str, Finding]:
    """The findings by what they are about."""
    tokens = {"SLACK_BOT_TOKEN": sim.config.bot_token, "SLACK_APP_TOKEN": sim.config.app_token}
    read = settings.load({**tokens, "SLACK_API_URL": sim.api_url, **changed}, tmp_path)
    return {each.thing: each for each in doctor_checks.findings(read)}


def test_a_workspace_where_all_is_well(sim: Simulator, tmp_path: Path) -> None:
    """Both tokens are good and every scope is there."""
    found = asked(sim, tmp_path)
    assert set(found) == {"slack", "scopes", "socket mode"}
    assert {each.level for each in found.values()} == {Level.OK}


def test_missing_scopes_are_named(tmp_path: Path) -> None:
    """With where to add them."""
    running = Simulator(replace(Config(socket_mode=True), scopes="chat:write, commands"))
    running.start()
    try:
        found = asked(running, tmp_path)["scopes"]
    finally:
        running.stop()
    assert found.level is Level.BAD
    assert "users:read" in found.detail
    assert "chat:write" not in found.detail
    assert "manifest" in found.advice


@pytest.mark.parametrize(
    ("setting", "thing"), [("SLACK_BOT_TOKEN", "slack"), ("SLACK_APP_TOKEN", "slack")], ids=["bot", "app"]
)
def test_a_wrong_token_is_named_and_not_shown(sim: Simulator, tmp_path: Path, setting: str, thing: str) -> None:
    """Which of the two it is, and where a new one is."""
    wrong = f"{'xoxb' if 'BOT' in setting else 'xapp'}-wrong-one"
    found = asked(sim, tmp_path, **{setting: wrong})[thing]
    assert found.level is Level.BAD
    assert setting in found.detail
    assert "invalid_auth" in found.detail
    assert wrong not in str(found)


def test_a_slack_that_is_away(tmp_path: Path) -> None:
    """Nobody listens at that address."""
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_API_URL": "http://127.0.0.1:9/api/"}
    (found,) = doctor_checks.findings(settings.load(tokens, tmp_path))
    assert found.level is Level.BAD
    assert "does not answer" in found.detail


def test_no_slack_at_all_is_a_warning(tmp_path: Path) -> None:
    """It is allowed."""
    (found,) = doctor_checks.findings(settings.load({}, tmp_path))
    assert found.level is Level.WARN


def test_the_scopes_are_those_of_the_manifest() -> None:
    """Whoever follows the advice has them all."""
    manifest = yaml.safe_load((ROOT / "slack" / "manifest.yaml").read_text())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == doctor_checks.SCOPES


def test_trouble_on_the_way_to_slack_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK logs whole tracebacks of what is only tried again; those of bugs stay."""
    for trouble in (ConnectionResetError("reset by peer"), ValueError("a bug")):
        try:
            raise trouble
        except (OSError, ValueError):
            QUIET.exception("Failed to reconnect")
    lost, bug = caplog.records
    assert lost.exc_info is None
    assert lost.getMessage() == "Failed to reconnect (ConnectionResetError: reset by peer)"
    assert bug.exc_info is not None
