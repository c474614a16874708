"""What comes of reading a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.app_context import Work
from bot.slack.reply import Place


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of reading a form.

    `errors` by block_id keep it open, `following` takes its place, else `work` is to be done at `place`.
    """

    errors: Mapping[str, str]
    place: Place
    work: Work | None = None
    following: Mapping[str, Any] | None = None
