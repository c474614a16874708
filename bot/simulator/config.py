"""What a practice workspace is started with."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_HINTS = (
    ("help", "What the bot can do"),
    ("list", "The runbooks you may run"),
    ("run ", "Start a runbook: run ID key=value"),
    ("run restart-checkout service=checkout", "Drain it, restart it, see it healthy, put it back"),
    ("status", "What is running"),
    ("admin sync", "Read the runbook files again"),
    ("admin approve ", "Look at a changed runbook and approve it"),
)
"""What the page suggests behind the bot's command, with a word on each."""

DEFAULT_SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,commands,files:write,groups:history,groups:read,"
    "im:history,im:read,im:write,mpim:history,mpim:read,usergroups:read,users:read,users:read.email"
)
DEFAULT_SHORTCUTS = (
    ("global", "run_runbook", "Run a runbook"),
    ("message", "run_about_message", "Run a runbook about this"),
)
"""The app's shortcuts: where each is offered (everywhere, or on a message), its callback_id, and its name."""

DEFAULT_EVENTS = frozenset({"app_mention", "message.im", "app_home_opened"})


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one workspace. Times are in seconds; Slack's own are the defaults.

    `port` 0 picks a free one. `bot_url` is where signed requests go; with `socket_mode` the bot connects instead and
    `bot_url` is not used. `scopes` are what the bot's token may do, as every answer's header says; what a method needs
    is not checked. `events` are the bot's event subscriptions. `strict` refuses arguments that a Web API method
    does not have, which Slack silently ignores. `rate_limits` applies Slack's published limits.
    """

    port: int = 0
    bot_url: str = "http://127.0.0.1:3000/slack/events"
    signing_secret: str = "practice-signing-secret"  # noqa: S105 - a made-up default for a loopback toy
    bot_token: str = "xoxb-practice"  # noqa: S105
    app_token: str = "xapp-practice"  # noqa: S105
    command: str = "/runbook"
    socket_mode: bool = False
    target_port: int | None = None
    target_token: str = "demo-lb-token-5f1c"  # noqa: S105
    strict: bool = True
    rate_limits: bool = False
    scopes: str = DEFAULT_SCOPES
    events: frozenset[str] = DEFAULT_EVENTS
    hints: tuple[tuple[str, str], ...] = DEFAULT_HINTS
    shortcuts: tuple[tuple[str, str, str], ...] = DEFAULT_SHORTCUTS
    ack_timeout: float = 3.0
    trigger_lifetime: float = 3.0
    event_retry_delays: tuple[float, ...] = (0.0, 60.0, 300.0)
