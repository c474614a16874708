"""How the Web API refuses."""

from __future__ import annotations

from collections.abc import Sequence


class SlackError(Exception):
    """An `ok: false` answer. `code` is Slack's name for it; `messages` go into response_metadata."""

    def __init__(self, code: str, messages: Sequence[str] = ()) -> None:
        self.code = code
        self.messages = tuple(messages)
        super().__init__("; ".join([code, *self.messages]))
