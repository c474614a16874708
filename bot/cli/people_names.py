"""People as a terminal shows them: by name where that is known; programs read the ids with `--json`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bot.slack.views.parts import Person, by_name
from bot.slack.views.text import one_line

_MENTION = re.compile(r"@?\b([UW][A-Z0-9]{2,20})\b", re.ASCII)


class Names:
    """Names by id, as an answer of the API has them in `people`. Of two people with one name the id is said too; the
    API has it in the name where the other is not in this answer."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        known: Mapping[str, str] = answer.get("people") or {}
        shared = Counter(known.values())
        self._known = {
            each: one_line(name if shared[name] == 1 else f"{name} ({each})") for each, name in known.items()
        }

    def __call__(self, person: str | None) -> str:
        """A person or whatever else acted."""
        return self._known.get(person or "", person or "")

    def noted(self, text: str) -> str:
        """A note with the person who gave it by name; everything else in it is theirs and stays."""
        return "".join(self(part.user_id) if isinstance(part, Person) else part for part in by_name(text))

    def in_sentence(self, text: str) -> str:
        """A sentence of the bot's own with the people in it by name."""
        return _MENTION.sub(lambda found: self._known.get(found[1], found[0]), text)
