"""Channels: where the bot may speak for somebody, and whose eyes the facts of a channel's incident are for.

The bot speaks for a person in channels that they are in, as Slack says now. What belongs to a private channel is shown
to its members alone, whatever roles others have. What Slack does not say is taken for a no.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from engine.access.auditing import kind_and_name
from engine.access.policy import Actor
from engine.access.roles import policy_of
from engine.conversations import FRESH_S, Unasked
from engine.errors import ChannelNotAllowed, ChannelUnknown
from engine.runtime import Runtime
from storage import database, incidents
from storage.records import AuditRecord, ExecutionRecord


class Standing(StrEnum):
    """Where a person stands to a channel.

    `IN` it, `OUT` of it (or it is none that the bot knows), `EXTERNAL` where people of other workspaces are in it and
    nobody allowed that, `UNKNOWN` where Slack does not say.
    """

    IN = "in"
    OUT = "out"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether the bot may speak in a channel for somebody, and the sentence that says why not."""

    standing: Standing
    why: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the bot may speak there for this person."""
        return self.standing is Standing.IN


def ruling(rt: Runtime, actor: Actor, channel: str) -> Ruling:
    """Whether the bot may speak in `channel` for this person. Asks Slack unless they are seen to be there."""
    here = bool(channel) and actor.here == channel
    try:
        why = outside(rt, channel)
        if why:
            return Ruling(Standing.EXTERNAL, why)
        if here or rt.conversations.has(channel, actor.user_id):
            return Ruling(Standing.IN)
    except Unasked as trouble:
        return Ruling(Standing.IN) if here else Ruling(Standing.UNKNOWN, _unknown(channel, trouble))
    why = f"@{actor.user_id} is not in {channel}, or this bot knows no such channel."
    return Ruling(Standing.OUT, f"{why} It speaks for people where they are.")


def must_be_in(rt: Runtime, actor: Actor, channel: str) -> None:
    """Raise `ChannelNotAllowed` unless this person is in the channel, `ChannelUnknown` where Slack does not say."""
    found = ruling(rt, actor, channel)
    if found.standing is Standing.UNKNOWN:
        raise ChannelUnknown(found.why)
    if not found.allowed:
        raise ChannelNotAllowed(found.why)


def must_be_in_that_of(rt: Runtime, actor: Actor, execution: ExecutionRecord) -> None:
    """As `must_be_in` for the channel of a run, if it has one; who may not know of it is not told which it is."""
    channel = _channel_of(execution.incident)
    if not channel:
        return
    found = ruling(rt, actor, channel)
    why = found.why if sees(rt, actor, channel) else found.why.replace(channel, f"the channel of {execution.id}")
    if found.standing is Standing.UNKNOWN:
        raise ChannelUnknown(why)
    if not found.allowed:
        raise ChannelNotAllowed(why)


def still_there(rt: Runtime, actor: Actor, channel: str) -> Actor:
    """The actor as somebody who was seen in the channel a moment ago: `here`, unless Slack says that they are not."""
    gone = ruling(rt, actor, channel).standing is Standing.OUT
    return actor if gone else replace(actor, here=channel)


def outside(rt: Runtime, channel: str, fresh_s: float = FRESH_S) -> str:
    """Why nothing may be said in a channel to anybody, "" where it may: other workspaces have a part in it.

    Raises `Unasked`.
    """
    found = rt.conversations.find(channel, fresh_s)
    if found is None or not found.external or channel in (policy_of(rt).get("external_channels") or ()):
        return ""
    return (
        f"{channel} is shared with another workspace (Slack Connect), where this bot says nothing. "
        "`external_channels` in _access.yaml allows a channel."
    )


def _unknown(channel: str, trouble: Unasked) -> str:
    return f"Slack did not say who is in {channel}, so this was refused. {trouble}"


def name_of(rt: Runtime, channel: str) -> str:
    """What a channel is called, "" where Slack does not say."""
    try:
        found = rt.conversations.find(channel)
    except Unasked:
        return ""
    return found.name if found is not None else ""


def sees(rt: Runtime, actor: Actor, channel: str) -> bool:
    """Whether somebody may know what belongs to a channel: everybody of a public one, of any other its members."""
    if not channel or actor.here == channel:
        return True
    try:
        found = rt.conversations.find(channel)
        if found is None or outside(rt, channel):
            return False
        if not found.private and not found.external:
            return True
        return rt.conversations.has(channel, actor.user_id)
    except Unasked:
        return False


def must_see(rt: Runtime, actor: Actor, channel: str) -> None:
    """Raise `ChannelNotAllowed` unless this person may know what belongs to the channel."""
    if not sees(rt, actor, channel):
        raise ChannelNotAllowed(
            f"What belongs to {channel} is for its members, and Slack does not say that @{actor.user_id} is one."
        )


def shown(rt: Runtime, actor: Actor, execution: ExecutionRecord) -> ExecutionRecord:
    """A run as this person may see it: with None for its incident where that is of a channel that is not theirs."""
    channel = _channel_of(execution.incident)
    return execution if sees(rt, actor, channel) else replace(execution, incident=None)


def shown_row(rt: Runtime, actor: Actor, row: AuditRecord) -> AuditRecord:
    """An audit row as this person may see it: without the facts of an incident in a channel that is not theirs."""
    detail = row.detail if isinstance(row.detail, dict) else {}
    if kind_and_name(row.thing)[0] == "incident" and not sees(rt, actor, _channel_of_incident(rt, row)):
        return replace(row, detail={"door": detail.get("door")})
    if "from" in detail and not sees(rt, actor, _channel_of(detail["from"])):
        return replace(row, detail={**detail, "from": None})
    return row


def _channel_of(about: object) -> str:
    return str(about.get("channel") or "") if isinstance(about, dict) else ""


def _channel_of_incident(rt: Runtime, row: AuditRecord) -> str:
    number = kind_and_name(row.thing)[1]
    with database.reading():
        found = incidents.find(rt.workspace_id, int(number)) if number.isdigit() else None
    return found.channel if found is not None else ""
