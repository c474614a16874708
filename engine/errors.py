"""What the engine refuses, as exceptions that every door shows in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.text.problem import Problem


class EngineError(Exception):
    """Base of all refusals. `str(error)` is a sentence for the person who asked; `code` is for programs."""

    code = "error"


class NotFound(EngineError):
    """There is no such runbook, version, run, step or gate, or none that this person may see."""

    code = "not_found"


class NotAuthenticated(EngineError):
    """Nobody knows who asks: the token is missing, unknown, expired or revoked."""

    code = "not_authenticated"


class NotAllowed(EngineError):
    """Somebody may not do what they asked for, and the message says which role may.

    `ask` are the people and user groups that have what it takes, as ids; empty where nobody could help.
    """

    code = "not_allowed"

    def __init__(self, why: str, ask: Sequence[str] = ()) -> None:
        self.ask = tuple(ask)
        super().__init__(why)


class ChannelNotAllowed(NotAllowed):
    """The bot does not speak in that channel for this person."""

    code = "channel_not_allowed"


class Frozen(NotAllowed):
    """They may, and a freeze lets nothing of it begin now; the message says which, why, until when and who lifts it."""

    code = "frozen"


class ChannelUnknown(EngineError):
    """Slack does not say whether this person is in that channel."""

    code = "channel_unknown"


class NotApproved(EngineError):
    """The version is not APPROVED, so it does not run."""

    code = "not_approved"


class ReasonRequired(EngineError):
    """What was asked for needs a reason."""

    code = "reason_required"


class Conflict(EngineError):
    """The thing is not, or no longer, in a state in which this can be done."""

    code = "conflict"


class Stale(Conflict):
    """The thing was changed since the person who asks looked at it."""

    code = "changed"


class Undecodable(EngineError):
    """What is stored of a version cannot be read; a run of it ends as FAILED."""

    code = "undecodable"


class InvalidDefinition(EngineError):
    """A runbook file is wrong; `problems` names every place, in order, and is never empty."""

    code = "invalid_definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(p) for p in self.problems))


class InvalidParameters(EngineError):
    """Parameters, or what else is given by name, do not fit.

    `fields` maps a name to what is wrong with its value; the name "" is for the whole set. `about` says what they are
    the names of, in the plural.
    """

    code = "invalid_parameters"

    def __init__(self, fields: Mapping[str, str], about: str = "parameters") -> None:
        self.fields = dict(fields)
        self.about = about
        super().__init__("; ".join(f"{name}: {why}" if name else why for name, why in self.fields.items()))


class BadSettings(EngineError):
    """The environment is wrong; `problems` has a sentence for everything that is."""

    code = "bad_settings"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DatabaseAway(BadSettings):
    """What may be well with the settings, and cannot be told before the database is back."""
