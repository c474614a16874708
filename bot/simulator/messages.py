"""Messages, ephemeral ones among them, kept as the JSON that Slack shows."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass, field

from bot.simulator.directory import SLACKBOT_ID
from bot.simulator.feed import Feed
from bot.simulator.json_value import Json

Blocks = list[dict[str, Json]]

KEPT_VERSIONS = 50


@dataclass(slots=True)
class Posted:
    """One message. `only` is the one person who sees it when it is ephemeral; `versions` are its earlier blocks."""

    channel: str
    message: dict[str, Json]
    only: str | None = None
    ephemeral_id: str | None = None
    versions: list[Blocks] = field(default_factory=list)

    @property
    def ts(self) -> str:
        return str(self.message["ts"])

    @property
    def thread_ts(self) -> str | None:
        return self.message.get("thread_ts")

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


def with_ids(blocks: Blocks) -> Blocks:
    """The blocks with a block_id, and their elements with an action_id, wherever one was left out."""
    return [_identified(dict(block)) for block in blocks]


def _identified(block: dict[str, Json]) -> dict[str, Json]:
    block.setdefault("block_id", secrets.token_urlsafe(4))
    for key in ("elements", "actions"):
        if isinstance(block.get(key), list) and block["type"] != "rich_text":
            block[key] = [_with_action(each) for each in block[key]]
    for key in ("accessory", "element"):
        if key in block:
            block[key] = _with_action(block[key])
    if "child_blocks" in block:
        block["child_blocks"] = with_ids(block["child_blocks"])
    return block


def _with_action(element: dict[str, Json]) -> dict[str, Json]:
    silent = element.get("type") in ("image", "mrkdwn", "plain_text", "card")
    return element if silent else {"action_id": secrets.token_urlsafe(4)} | element


class Messages:
    """Every message by channel and ts. A ts is unique in the whole workspace and always grows."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._by_key: dict[tuple[str, str], Posted] = {}
        self._ephemeral: dict[str, Posted] = {}
        self._threads: dict[tuple[str, str], dict[str, Posted]] = {}
        self._last = 0
        self._numbers = itertools.count(1)

    def new_ts(self) -> str:
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return f"{self._last // 10**6}.{self._last % 10**6:06d}"

    def add(self, channel: str, message: dict[str, Json], only: str | None = None) -> Posted:
        """Posts a message, giving it its ts; `only` makes it ephemeral."""
        ts = self.new_ts()
        posted = Posted(channel, {"type": "message", **message, "ts": ts}, only)
        if only:
            posted.ephemeral_id = f"E{next(self._numbers):08d}"
            self._ephemeral[posted.ephemeral_id] = posted
        self._by_key[channel, ts] = posted
        if posted.is_reply and not only:
            self._threads.setdefault((channel, posted.thread_ts or ""), {})[ts] = posted
        self._publish("message", posted)
        if posted.is_reply and not only:
            self._publish_parent(posted)
        return posted

    def change(self, posted: Posted, message: dict[str, Json]) -> None:
        """Replaces a message's content, keeping its ts and remembering the blocks it had."""
        posted.versions = [*posted.versions, posted.message.get("blocks", [])][-KEPT_VERSIONS:]
        posted.message = message | {"ts": posted.ts}
        self._publish("message_changed", posted)

    def remove(self, posted: Posted) -> None:
        """Deletes a message. A parent with replies leaves a tombstone, so that its thread can still be read."""
        if not posted.only and self.replies(posted.channel, posted.ts):
            keep = {key: posted.message[key] for key in ("type", "ts", "thread_ts") if key in posted.message}
            tombstone = {"subtype": "tombstone", "user": SLACKBOT_ID, "text": "This message was deleted."}
            self.change(posted, keep | tombstone)
            return
        del self._by_key[posted.channel, posted.ts]
        self._ephemeral.pop(posted.ephemeral_id or "", None)
        self._threads.get((posted.channel, posted.thread_ts or ""), {}).pop(posted.ts, None)
        self._publish("message_deleted", posted)
        if posted.is_reply and not posted.only:
            self._publish_parent(posted)

    def find(self, channel: str, ts: str) -> Posted | None:
        """A message that everyone in the channel sees; ephemeral ones are not found by ts."""
        posted = self._by_key.get((channel, ts))
        return None if posted is None or posted.only else posted

    def find_ephemeral(self, ephemeral_id: str) -> Posted | None:
        return self._ephemeral.get(ephemeral_id)

    def find_any(self, channel: str, ts: str) -> Posted | None:
        """A message by ts, ephemeral ones included: what a response_url may replace."""
        return self._by_key.get((channel, ts))

    def top_level(self, channel: str) -> list[Posted]:
        return [p for p in self._by_key.values() if p.channel == channel and not p.is_reply and not p.only]

    def replies(self, channel: str, thread_ts: str) -> list[Posted]:
        """The replies in a thread, the parent left out."""
        return list(self._threads.get((channel, thread_ts), {}).values())

    def seen_by(self, user: str | None, channel: str) -> list[Posted]:
        """All that a person sees in a channel, threads and their own ephemeral messages included."""
        return [p for p in self._by_key.values() if p.channel == channel and (not p.only or p.only == user)]

    def shown(self, posted: Posted) -> dict[str, Json]:
        """A message as the Web API shows it: a parent says how its thread stands."""
        replies = self.replies(posted.channel, posted.ts) if not posted.is_reply else []
        if not replies:
            return posted.message
        return posted.message | {
            "thread_ts": posted.ts,
            "reply_count": len(replies),
            "reply_users": list(dict.fromkeys(str(reply.message.get("user")) for reply in replies)),
            "latest_reply": replies[-1].ts,
        }

    def seen(self, posted: Posted) -> dict[str, Json]:
        """A message as the page and the control interface see it."""
        shown = {**self.shown(posted), "channel": posted.channel}
        if posted.only:
            shown |= {"ephemeral": True, "ephemeral_id": posted.ephemeral_id, "only": posted.only}
        return shown

    def _publish(self, kind: str, posted: Posted) -> None:
        kind = kind.replace("message", "ephemeral") if posted.only else kind
        self._feed.publish(kind, user=posted.only, channel=posted.channel, ts=posted.ts, message=self.seen(posted))

    def _publish_parent(self, reply: Posted) -> None:
        parent = self.find(reply.channel, reply.thread_ts or "")
        if parent is not None:
            self._publish("message_changed", parent)
