"""Where a payload comes from: this app in this workspace, from one of its people. Anything else has no effect.

The signature, or the Socket Mode connection, proves that Slack sent it. In shared channels, and where an app is
installed more than once, Slack also sends what is another workspace's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slack_bolt import BoltResponse

from bot.slack.directory import Me
from bot.slack.views.form import refused_view

SENTENCE = "This came from another workspace or another app, so this bot did nothing."
NOT_YET = "Slack has not yet told this bot who it is, so nothing was done. Try again in a minute."


def foreign(payload: Mapping[str, Any], me: Me) -> str:
    """Which part of a payload names another team, enterprise or app than this bot's; "" where none does.

    What a payload does not say, or what this bot does not know of itself, is not compared.
    """
    for name, said, own in _claims(payload, me):
        if said and said != own:
            return name
    return ""


def _claims(payload: Mapping[str, Any], me: Me) -> Iterator[tuple[str, str, str]]:
    if me.app_id:
        yield "api_app_id", _text(payload.get("api_app_id")), me.app_id
    yield "team_id", _text(payload.get("team_id")), me.team_id
    yield "enterprise_id", _text(payload.get("enterprise_id")), me.enterprise_id
    for part, own in (("team", me.team_id), ("enterprise", me.enterprise_id)):
        yield f"{part}.id", _text(_part(payload, part).get("id")), own
    yield "user.team_id", _text(_part(payload, "user").get("team_id")), me.team_id
    view = _part(payload, "view")
    yield "view.team_id", _text(view.get("team_id")), me.team_id
    if me.app_id:
        yield "view.app_id", _text(view.get("app_id")), me.app_id
    event = _part(payload, "event")
    for key in ("team", "user_team", "source_team"):
        yield f"event.{key}", _text(event.get(key)), me.team_id


def _part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    """What an id says; whatever is neither text nor nothing is nobody's id."""
    return value if isinstance(value, str) else "" if value is None else repr(value)


def refusal(payload: Mapping[str, Any], sentence: str) -> BoltResponse:
    """What Slack is answered: a sentence where it shows one, else that the payload arrived."""
    if "command" in payload:
        return BoltResponse(status=200, body=sentence)
    if payload.get("type") == "view_submission":
        return _json({"response_action": "update", "view": refused_view("Not possible", sentence)})
    return _json({"options": []}) if payload.get("type") == "block_suggestion" else BoltResponse(status=200, body="")


def _json(body: Mapping[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=json.dumps(body), headers={"content-type": "application/json"})
