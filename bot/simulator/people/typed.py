"""What becomes of typed text on its way to an app: entities, and references to people, groups, channels and links."""

from __future__ import annotations

import re

from bot.simulator.directory import CHANNELS, GROUPS, PEOPLE

_REFERENCE = re.compile(r"(?P<link>https?://[^\s<>]+)|(?<![\w.])@(?P<at>[\w-]+)|(?<!\w)#(?P<channel>[\w-]+)")
_TRAILING = ".,;:!?)'\""
_PEOPLE = {person.handle: person.id for person in PEOPLE.values() if not person.deleted}
_GROUPS = {group.handle: group.id for group in GROUPS.values()}
_CHANNELS = {channel.name: channel.id for channel in CHANNELS.values()}
_BROADCASTS = ("here", "channel", "everyone")


def escape(text: str) -> str:
    """The three characters Slack escapes, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encode(text: str, *, labels: bool) -> str:
    """Typed text as an app receives it.

    With `labels` (slash commands that ask for escaping) references carry a name, `<@U0BOB0001|bob>`; in messages they
    do not. A name nobody has stays as it was typed.
    """
    parts, end = [], 0
    for match in _REFERENCE.finditer(text):
        parts += [escape(text[end : match.start()]), _reference(match, labels)]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def _reference(match: re.Match[str], labels: bool) -> str:
    if match["link"]:
        link = match["link"].rstrip(_TRAILING)
        return f"<{escape(link)}>{match['link'][len(link) :]}"
    name = match["at"] or match["channel"]
    if match["channel"] and name in _CHANNELS:
        return f"<#{_CHANNELS[name]}|{name if labels else ''}>"
    if match["at"] and name in _PEOPLE:
        return f"<@{_PEOPLE[name]}|{name}>" if labels else f"<@{_PEOPLE[name]}>"
    if match["at"] and name in _GROUPS:
        return f"<!subteam^{_GROUPS[name]}|@{name}>" if labels else f"<!subteam^{_GROUPS[name]}>"
    if match["at"] and name in _BROADCASTS:
        return f"<!{name}>"
    return match[0]
