"""The few building blocks that all views share. Every mrkdwn is verbatim: Slack turns no text into links by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from bot.slack.ids import Action
from bot.slack.payload_values import Ref, encode
from bot.slack.views.text import cut, escape, person, plain

SECTION_LIMIT = 2900
"""Characters in a section's text; Slack refuses more than 3000."""
PART = 30
"""Blocks in one part of what is read in a modal."""
_SAID_BY = re.compile(
    r"(?:^|· )(?:\w+, said by|(?:to be )?skipped by|asked by) ([UW][A-Z0-9]{5,20})(?=: | to be skipped: )"
    r"|^done by ([UW][A-Z0-9]{5,20})(?=: |$)"
)
"""How the engine's notes begin that name a person."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a rich text, whom Slack shows by name; `user_id` is a Slack user's."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `text` stands in where blocks cannot be shown (notifications, screen readers)."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()


def message(text: str, blocks: Iterable[Block]) -> Message:
    """Put a message together; raises SlackObjectFormationError when a block breaks a limit, which is a bug."""
    return Message(cut(text, 1000).strip() or "–", tuple(block.to_dict() for block in blocks))


def said(text: str) -> Message:
    """One paragraph of mrkdwn."""
    return message(text, [section(text)])


def section(text: str, button: ButtonElement | None = None) -> SectionBlock:
    return SectionBlock(text=MarkdownTextObject(text=cut(text, 3000) or " ", verbatim=True), accessory=button)


def sections(lines: Iterable[str]) -> list[Block]:
    """Lines of mrkdwn in as few sections as hold them; no line is torn."""
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + len(line) < SECTION_LIMIT:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return [section(text) for text in texts]


def within(lines: Sequence[str], room: int) -> list[str]:
    """The first lines that take at most `room` characters, and how many others there are: Slack bounds a message."""
    kept = how_many_fit(lines, room)
    return [*lines[:kept], f"… and {len(lines) - kept} more"] if kept < len(lines) else list(lines)


def how_many_fit(lines: Sequence[str], room: int) -> int:
    """How many of the first lines take at most `room` characters."""
    for kept, line in enumerate(lines):
        room -= len(line)
        if room < 0:
            return kept
    return len(lines)


def in_parts(blocks: Sequence[Block]) -> list[list[Block]]:
    """What is too long for a message in parts that a modal holds; at least one."""
    return [list(blocks[start : start + PART]) for start in range(0, len(blocks), PART)] or [[]]


def context(*texts: str) -> ContextBlock:
    """Small print. At most ten texts."""
    return ContextBlock(elements=[MarkdownTextObject(text=cut(text, 2000), verbatim=True) for text in texts if text])


def header(text: str) -> HeaderBlock:
    return HeaderBlock(text=PlainTextObject(text=plain(text, 150)))


def button(
    label: str, action: Action, ref: Ref, style: str | None = None, confirm: ConfirmObject | None = None, nth: int = 0
) -> ButtonElement:
    """A button; `nth` tells those of one action apart that stand in one row, which Slack wants."""
    return ButtonElement(
        text=PlainTextObject(text=plain(label, 75)),
        action_id=f"{action.value}:{nth}" if nth else action.value,
        value=encode(ref),
        style=style,
        confirm=confirm,
    )


def confirm(title: str, text: str, yes: str, style: str = "primary") -> ConfirmObject:
    """A dialog before a click counts."""
    return ConfirmObject(
        title=PlainTextObject(text=plain(title, 100)),
        text=PlainTextObject(text=plain(text, 300)),
        confirm=PlainTextObject(text=plain(yes, 30)),
        deny=PlainTextObject(text="Go back"),
        style=style,
    )


def actions(buttons: Sequence[ButtonElement]) -> list[Block]:
    """The buttons in a row, or nothing where there are none."""
    return [ActionsBlock(elements=list(buttons[:25]))] if buttons else []


def rich(*texts: str | Person) -> dict[str, Any]:
    """Plain words and people as a rich_text entity, as a task card wants them."""
    elements = [
        {"type": "user", "user_id": text.user_id} if isinstance(text, Person) else {"type": "text", "text": text}
        for text in texts
    ]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def by_name(text: str) -> list[str | Person]:
    """A note, with the person who gave it by name where the engine says who that was."""
    found = _SAID_BY.search(text)
    if found is None or found.lastindex is None:
        return [text]
    start, end = found.span(found.lastindex)
    return [each for each in (text[:start], Person(text[start:end]), text[end:]) if each]  # Slack takes no empty text


def noted(text: str) -> str:
    """The same as mrkdwn."""
    return "".join(person(part.user_id) if isinstance(part, Person) else escape(part) for part in by_name(text))
