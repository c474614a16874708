"""What the engine refuses, as exceptions that every door shows in the same words.

EngineError
├── NotFound            there is no such runbook, version, execution, step or approval
├── NotAuthenticated    nobody knows who asks: the token is missing, unknown, expired or revoked
├── NotAllowed          this person may not do this; the message says which role may
│   └── ChannelNotAllowed  the bot does not speak in that channel for this person
├── ChannelUnknown      Slack does not say whether this person is in that channel
├── NotApproved         the version is not APPROVED, so it does not run
├── InvalidDefinition   a runbook file is wrong; `problems` lists every place
├── InvalidParameters   parameters do not fit the schema; `fields` says which and why
├── ReasonRequired      the action needs a reason
├── Conflict            the thing is no longer in a state in which this can be done
│   └── Stale           it was changed since the person who asks looked at it
├── Undecodable         what is stored of a version cannot be read; a run of it ends as FAILED
└── BadSettings         the environment is wrong; `problems` lists every setting
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.text.problem import Problem


class EngineError(Exception):
    """Base of all refusals. `str(error)` is a sentence for the person who asked; `code` is for programs."""

    code = "error"


class NotFound(EngineError):
    code = "not_found"


class NotAuthenticated(EngineError):
    code = "not_authenticated"


class NotAllowed(EngineError):
    """`ask` are the people and user groups that have what it takes, as ids; empty where nobody could help."""

    code = "not_allowed"

    def __init__(self, why: str, ask: Sequence[str] = ()) -> None:
        self.ask = tuple(ask)
        super().__init__(why)


class ChannelNotAllowed(NotAllowed):
    code = "channel_not_allowed"


class ChannelUnknown(EngineError):
    code = "channel_unknown"


class NotApproved(EngineError):
    code = "not_approved"


class ReasonRequired(EngineError):
    code = "reason_required"


class Conflict(EngineError):
    code = "conflict"


class Stale(Conflict):
    code = "changed"


class Undecodable(EngineError):
    code = "undecodable"


class InvalidDefinition(EngineError):
    """`problems` is never empty and is ordered by place."""

    code = "invalid_definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(p) for p in self.problems))


class InvalidParameters(EngineError):
    """`fields` maps a parameter's name to what is wrong with it; the name "" is for the whole set."""

    code = "invalid_parameters"

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" if name else why for name, why in self.fields.items()))


class BadSettings(EngineError):
    code = "bad_settings"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DatabaseAway(BadSettings):
    """What may be well with the settings, and cannot be told before the database is back."""
