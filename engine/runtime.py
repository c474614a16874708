"""What every engine service is given: the settings, whose workspace this is, and how to call workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """`hint` says that these executions may have work now. It never raises and may do nothing: a sweep follows."""

    settings: Settings
    workspace_id: int
    hint: Callable[[Iterable[str]], None]
