"""What every engine service is given: the settings, whose workspace this is, and how to call workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.conversations import Conversations, NoSlack
from engine.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """`hint` says that these executions may have work now. It never raises and may do nothing: a sweep follows.

    `conversations` answers for Slack's channels.
    """

    settings: Settings
    workspace_id: int
    hint: Callable[[Iterable[str]], None]
    conversations: Conversations = field(default_factory=NoSlack)
