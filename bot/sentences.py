"""Sentences as data: words, and what stands among them, which each door shows in its own markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bot.parameter_change_text import change_words
from bot.slack.views.parts import Person, by_name
from storage.records import Json


class Role(StrEnum):
    """What a part of a sentence is: a step or gate by its path, a person by id (None: the bot), the name of something
    else, what somebody or something said, or changed parameters as the engine keeps them."""

    STEP = "step"
    PERSON = "person"
    NAME = "name"
    QUOTE = "quote"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Part:
    role: Role
    value: Json


Sentence = tuple[str | Part, ...]
"""Without a capital at its beginning or a full stop at its end: what stands around it decides about those."""

THE_BOT = "the bot"
"""Who did what nobody did."""

_PLACE = re.compile(r"\{(\w+)\}")


def filled(template: str, **parts: Part | Sentence) -> Sentence:
    """A sentence of a template, in which `{step}` stands for the part of that name."""
    return tuple(_pieces(template, parts))


def _pieces(template: str, parts: dict[str, Part | Sentence]) -> Iterator[str | Part]:
    for place, text in enumerate(_PLACE.split(template)):
        found = parts[text] if place % 2 else (text,) if text else ()
        yield from found if isinstance(found, tuple) else (found,)


def enumerated(parts: list[Part]) -> Sentence:
    """The parts with commas between them."""
    return tuple(each for part in parts for each in (", ", part))[1:]


def plain(sentence: Sentence, name: Callable[[str], str] = str) -> str:
    """The sentence as text; `name` gives the name of the person with an id."""
    return "".join(part if isinstance(part, str) else _plain_part(part, name) for part in sentence)


def _plain_part(part: Part, name: Callable[[str], str]) -> str:
    match part.role:
        case Role.PERSON:
            return name(part.value) if part.value else THE_BOT
        case Role.CHANGES:
            return change_words(part.value)
        case Role.QUOTE:
            found = by_name(str(part.value))
            return "".join(name(each.user_id) if isinstance(each, Person) else each for each in found)
    return str(part.value)
