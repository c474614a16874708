"""What one attempt at a step came to. A step kind returns exactly one of these; the runner records it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storage.records import Json

if TYPE_CHECKING:
    from engine.egress.received_rules import HostLists


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was sent and what came back, already redacted and bounded: safe to store and to show.

    `request` and `response` are small JSON objects (for http: method, url, headers, body and status, headers, body).
    Each holds the `digest` of the whole masked body, of which `body` is the beginning.
    """

    request: Json = None
    response: Json = None


@dataclass(frozen=True, slots=True)
class SecretOutput:
    """What a step received as a secret, and the lists of hosts that all have to allow where it is sent."""

    value: str = field(repr=False)
    hosts: HostLists = frozenset()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attempt did what its step is for; `outputs` are what later steps see of it.

    `received` are its secret outputs by name, of which `outputs` have the marks. `reread` gives the outputs once more
    with what runs received unmasked: for secret outputs alone, and only where the step has some; no recorder sees it.
    """

    outputs: dict[str, Json]
    evidence: Evidence = field(default_factory=Evidence)
    received: dict[str, SecretOutput] = field(default_factory=dict, repr=False)
    reread: Callable[[], dict[str, Json]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt is known to have failed.

    `code` is a word for programs (`not_sent`, `http_status`, `template`, `egress_refused`, `timeout` …), `message` a
    sentence for people. `retryable` says that another attempt is allowed by the promises (nothing was sent, the server
    asked to come back, or the step is idempotent); whether attempts are left is the runner's to know.
    `retry_after_ms` is the server's wish, already bounded, or None.
    """

    code: str
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None
    outputs: dict[str, Json] | None = None
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The call was sent, the step is not idempotent, and nobody saw the outcome: a person must decide."""

    code: str
    message: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The call was dropped because the execution was cancelled; whether it took effect is not known."""

    message: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Opened:
    """A gate was rendered and waits for people from here on. `preview` is what would happen next, secrets masked.

    `plan_digest` is that of the whole of it and of the message, of which these may leave something out.
    """

    min_approvals: int
    approvers: dict[str, list[Json]]
    message: str
    preview: list[Json]
    plan_digest: str
    timeout_ms: int
    on_timeout: str
    allow_self: bool = False
    form: Json = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """Something is to be done by hand, at most `timeout_ms` from here on; secrets in `instructions` are masked.

    `assignees` and `form` are as in `TaskRecord`.
    """

    instructions: str
    assignees: dict[str, Json]
    form: dict[str, Json]
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Again:
    """A poll's round ended and what it waits for is not there yet: ask again after `after_ms`."""

    after_ms: int
    message: str
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Later:
    """The step is done `after_ms` from now, with these outputs; nothing is to be called again."""

    after_ms: int
    outputs: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Posted:
    """A message to post, redacted and bounded. The engine keeps it as an event and whoever shows the run posts it.

    `channel` is a Slack channel's id, or None for the run's own; `thread` asks for the run's thread there. `by_value`
    says that no author wrote the id: who asked for the run has to be in that channel. `unposted` is why it is not to
    be posted, "" where it is. `said` is what is posted as mrkdwn, "" where that is the text and nothing more; `file` is
    the whole text where that is shared as a file, of which `text` and `said` are the beginning.
    """

    text: str
    channel: str | None
    thread: bool
    by_value: bool = False
    unposted: str = ""
    said: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """From here on the step waits for the event with this correlation key, at most `timeout_ms`.

    It hears `senders`, any of them when None, and what they send for its own team, `shared` also what is for others.
    """

    key: str
    timeout_ms: int
    senders: tuple[str, ...] | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A runbook is to run with these parameters; the step ends as that execution does."""

    slug: str
    parameters: dict[str, Json]


Outcome = Succeeded | Failed | Unknown | Abandoned | Opened | Assigned | Again | Later | Posted | Waiting | Begun
