"""The app manifest, against Slack's own schema and against what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from bot.simulator.config import DEFAULT_SHORTCUTS
from bot.slack.ids import Shortcut

ROOT = Path(__file__).parents[2]
SLACK_DATA = ROOT.parent / "shared" / "slack-data"
SCOPE_OF = {
    "chat_postMessage": "chat:write",
    "chat_postEphemeral": "chat:write",
    "chat_update": "chat:write",
    "chat_getPermalink": None,
    "conversations_history": "channels:history",
    "conversations_info": "channels:read",
    "conversations_members": "channels:read",
    "conversations_open": "im:write",
    "conversations_replies": "channels:history",
    "files_upload_v2": "files:write",
    "users_info": "users:read",
    "users_lookupByEmail": "users:read.email",
    "usergroups_list": "usergroups:read",
    "auth_test": None,
    "views_open": None,
    "views_push": None,
    "views_update": None,
    "views_publish": None,
}
"""Slack's method reference: the bot scope that each method needs, or none."""


@pytest.fixture
def manifest() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "slack" / "manifest.yaml").read_text())


def test_slack_would_take_it(manifest: dict[str, Any]) -> None:
    """It fits the schema that Slack publishes."""
    path = SLACK_DATA / "manifest.schema.2.0.0.json"
    if not path.exists():
        pytest.skip("Slack's manifest schema is not beside this repository")
    assert [error.message for error in Draft7Validator(json.loads(path.read_text())).iter_errors(manifest)] == []


def test_the_scopes_are_those_that_are_used(manifest: dict[str, Any]) -> None:
    """Every Web API method that the code calls has its scope, and no scope is there for nothing."""
    source = "".join(path.read_text() for path in (ROOT / "bot" / "slack").rglob("*.py"))
    called = set(re.findall(r"client\.([a-z]+_[A-Za-z_0-9]+)\b(?=[(\s])", source)) - {"socket_mode_request_listeners"}
    families = "chat|users|views|conversations|usergroups|files"
    methods = {name for name in called if name in SCOPE_OF or re.match(rf"({families})_", name)}
    assert methods <= set(SCOPE_OF), "say in SCOPE_OF which scope the method needs"
    needed = {scope for name in methods if (scope := SCOPE_OF[name])}
    kinds = {f"{kind}:{what}" for kind in ("groups", "im", "mpim") for what in ("read", "history")}  # as channels:…
    by_feature = {"commands", "app_mentions:read"}
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == needed | kinds | by_feature


def test_events_and_command_are_those_that_are_answered(manifest: dict[str, Any]) -> None:
    """The subscriptions match the listeners, and mentions of people in a command arrive as ids."""
    source = (ROOT / "bot" / "slack" / "transport" / "app.py").read_text()
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) == set(
        re.findall(r'app\.event\("(\w+)"\)', source)
    )
    assert all(command["should_escape"] for command in manifest["features"]["slash_commands"])
    assert manifest["settings"]["socket_mode_enabled"]
    offered = {(each["type"], each["callback_id"], each["name"]) for each in manifest["features"]["shortcuts"]}
    assert offered == set(DEFAULT_SHORTCUTS), "the practice workspace offers what the manifest has"
    assert {callback for _, callback, _ in offered} == set(Shortcut)
