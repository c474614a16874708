"""What can be asked for: every verb with its usage, its parts and a sentence of help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be asked for. `words` is how few and how many words may follow it, options not counted.

    `options` are the keys it takes; None means any key (they are a runbook's parameters, or an incident's facts).
    `about_run` says that its first word may be a run's id, which may be left out where only one run can be meant.
    """

    name: str
    usage: str
    help: str
    words: tuple[int, int]
    options: frozenset[str] | None = frozenset()
    about_run: bool = False


_REASON = frozenset({"reason"})
_COMMENT = frozenset({"comment"})
_DIGEST = frozenset({"digest"})
_AUDIT = frozenset({"who", "action", "thing", "severity", "since", "until"})

VERBS: tuple[Verb, ...] = (
    Verb("help", "help [VERB]", "What you can type, or the parts of one verb; help all has every verb.", (0, 2)),
    Verb(
        "list",
        "list [TEXT] [tag=TAG] [team=TEAM] [status=STATUS]",
        "The runbooks there are.",
        (0, 8),
        frozenset({"tag", "team", "status"}),
    ),
    Verb("show", "show ID[@VERSION]", "What a runbook does, its parameters and its versions.", (1, 1)),
    Verb("studio", "studio [ID]", "A page to write a runbook, checked as you type.", (0, 1)),
    Verb("diff", "diff ID[@VERSION]", "What a version changes against the last approved one.", (1, 1)),
    Verb(
        "run",
        'run ID[@VERSION] [KEY=VALUE …] [reason="…"] [reuse_within=TIME] [force=yes] [hold=yes] [break_glass=yes] '
        "[plan=DIGEST]",
        "Run a runbook; a form asks for what is missing. With force=yes even while the same run is open.",
        (1, 1),
        None,
    ),
    Verb(
        "plan",
        'plan ID[@VERSION] [KEY=VALUE …] [reason="…"] [live=yes]',
        "Show all that a run would do, and do nothing; live=yes asks its targets in check mode.",
        (1, 1),
        None,
    ),
    Verb(
        "status",
        "status [RUN]",
        "Where a run stands; without RUN, the one that is open in this channel.",
        (0, 1),
        about_run=True,
    ),
    Verb(
        "why", "why [RUN]", "What a run is doing or waiting for, since when, and who can act.", (0, 1), about_run=True
    ),
    Verb(
        "runs",
        "runs [here|mine|open|all] [status=STATUS] [runbook=ID] [by=@USER] [since=TIME]",
        "The latest runs.",
        (0, 1),
        frozenset({"status", "runbook", "by", "since"}),
    ),
    Verb("catchup", "catchup", "What happened here: runs, gates that wait, who did what.", (0, 0)),
    Verb(
        "logs",
        "logs [RUN] [STEP]",
        "What was sent and what came back, try by try, secrets masked.",
        (0, 2),
        about_run=True,
    ),
    Verb(
        "evidence",
        "evidence [RUN] [html=yes]",
        "All on record of a run as one file that can be checked by itself; html=yes: as a page.",
        (0, 1),
        frozenset({"html"}),
        about_run=True,
    ),
    Verb(
        "can", "can [@USER] VERB [ID|RUN]", "Whether you or somebody else may do something, and by which rule.", (1, 4)
    ),
    Verb(
        "pause",
        'pause [RUN] [reason="…"]',
        "Start nothing more in a run until it is resumed.",
        (0, 1),
        _REASON,
        about_run=True,
    ),
    Verb("resume", 'resume [RUN] [reason="…"]', "Let a paused run go on.", (0, 1), _REASON, about_run=True),
    Verb(
        "cancel",
        'cancel [RUN] [reason="…"] [force=yes]',
        "Stop a run; its cleanup follows. With force=yes that ends too.",
        (0, 1),
        frozenset({"reason", "force"}),
        about_run=True,
    ),
    Verb(
        "retry",
        'retry [RUN] [STEP] [KEY=VALUE …] [reason="…"]',
        "Let a failed run go on from its failed step, with other parameters where some are given.",
        (0, 2),
        None,
        about_run=True,
    ),
    Verb(
        "skip",
        'skip [RUN] STEP reason="…"',
        "Leave out a step; what a gate has released, when one of its approvers agrees.",
        (1, 2),
        _REASON,
        about_run=True,
    ),
    Verb(
        "agree",
        "agree [RUN|BREAK_GLASS] [STEP]",
        "Agree to a skip that your gate has released, or to a break-glass.",
        (0, 2),
        about_run=True,
    ),
    Verb(
        "replay",
        'replay [RUN] [from=STEP] [version=latest] [reason="…"]',
        "Run it once more with the same parameters, from the start or from a step.",
        (0, 1),
        frozenset({"from", "version", "reason"}),
        about_run=True,
    ),
    Verb(
        "resolve",
        'resolve [RUN] [STEP] retry|done|failed note="…"',
        "Decide about a step whose outcome nobody saw.",
        (1, 3),
        frozenset({"note"}),
        about_run=True,
    ),
    Verb(
        "done",
        'done [RUN] [STEP] [KEY=VALUE …] [note="…"]',
        "Say that a manual step is done, with the answers that its form asks for.",
        (0, 2),
        None,
        about_run=True,
    ),
    Verb(
        "could-not",
        'could-not [RUN] [STEP] note="…"',
        "Say that a manual step could not be done, which fails it.",
        (0, 2),
        frozenset({"note"}),
        about_run=True,
    ),
    Verb(
        "handover",
        'handover [RUN] @USER [reason="…"]',
        "Offer a run to somebody else, who answers for it once they take it over.",
        (1, 2),
        _REASON,
        about_run=True,
    ),
    Verb("takeover", "takeover [RUN]", "Take over a run that is offered to you.", (0, 1), about_run=True),
    Verb(
        "approve",
        'approve [RUN] [STEP] [KEY=VALUE …] [comment="…"]',
        "Approve what a run waits for, with the answers that its form asks for.",
        (0, 2),
        None,
        about_run=True,
    ),
    Verb("reject", 'reject [RUN] [STEP] comment="…"', "Reject what a run waits for.", (0, 2), _COMMENT, about_run=True),
    Verb("withdraw", "withdraw [RUN] [STEP]", "Take your vote back while the gate is open.", (0, 2), about_run=True),
    Verb("incident", "incident", "The incident that this channel is about.", (0, 0)),
    Verb(
        "incident open",
        "incident open [TITLE] [severity=SEVERITY] [KEY=VALUE …]",
        "Make this channel an incident; runs here take parameters from its facts.",
        (0, 40),
        None,
    ),
    Verb(
        "incident set",
        'incident set [title="…"] [severity=SEVERITY] [KEY=VALUE …]',
        "Change what is known of this channel's incident.",
        (0, 0),
        None,
    ),
    Verb(
        "incident close",
        'incident close [reason="…"] [force=yes]',
        "End this channel's incident; asks again while runs are open.",
        (0, 0),
        frozenset({"reason", "force"}),
    ),
    Verb(
        "freeze",
        'freeze SCOPE until=TIME|for=TIME reason="…" [hold=running]',
        "Let nothing of a scope begin for a while; with hold=running pause what runs.",
        (1, 1),
        frozenset({"until", "for", "reason", "hold"}),
    ),
    Verb(
        "unfreeze",
        'unfreeze SCOPE|FREEZE [resume=yes] [reason="…"]',
        "Lift a freeze; with resume=yes what it has paused goes on.",
        (1, 1),
        frozenset({"resume", "reason"}),
    ),
    Verb("freezes", "freezes", "What is frozen, and will be.", (0, 0)),
    Verb(
        "held",
        "held [drop HELD]",
        "Requests that wait for the end of a freeze.",
        (0, 2),
    ),
    Verb("release", "release HELD|all", "Start held requests, once nothing freezes them.", (1, 20)),
    Verb("reviews", "reviews", "Break-glass to agree to or to review.", (0, 0)),
    Verb(
        "review",
        'review BREAK_GLASS note="…"',
        "Close the review of a break-glass of others.",
        (1, 1),
        frozenset({"note"}),
    ),
    Verb(
        "token",
        "token [list|create|revoke] [NAME] [scopes=read,run] [expires=30d]",
        "Your tokens for the REST API and the command line: list, create or revoke them.",
        (0, 2),
        frozenset({"scopes", "expires"}),
    ),
    Verb(
        "audit",
        "audit [who=@USER] [action=ACTION] [thing=THING] [severity=SEVERITY] [since=TIME] [until=TIME]",
        "Who did what, the newest first, for platform admins.",
        (0, 0),
        _AUDIT,
    ),
    Verb(
        "audit export",
        "audit export [format=jsonl|cef] [who=@USER] [action=ACTION] [thing=THING] [severity=SEVERITY] [since=TIME] "
        "[until=TIME]",
        "The audit as a file: JSON lines, or CEF for a SIEM.",
        (0, 0),
        _AUDIT | {"format"},
    ),
    Verb(
        "report",
        "report [from=TIME] [until=TIME] [team=TEAM] [format=csv|html]",
        "What ran, who approved what, overrides, failures and secrets used; left out, of the last month.",
        (0, 0),
        frozenset({"from", "until", "team", "format"}),
    ),
    Verb(
        "secret list",
        "secret list [NAME]",
        "The secrets there are, where each comes from and what uses it; of one, who set it. Never a value.",
        (0, 1),
    ),
    Verb(
        "secret set",
        "secret set NAME",
        "Set a secret in a form that only you see; on the command line from standard input.",
        (1, 2),
    ),
    Verb("secret delete", "secret delete NAME", "Erase a stored secret; who set it and when stays on record.", (1, 1)),
    Verb(
        "secret rotate-keys",
        "secret rotate-keys",
        "Put all secrets under the first of SECRET_KEYS.",
        (0, 0),
    ),
    Verb("admin sync", "admin sync", "Read the runbooks folder again.", (0, 0)),
    Verb(
        "admin approve",
        "admin approve [ID[@VERSION]] [digest=DIGEST]",
        "Show what would change, to approve exactly that; with @VERSION, at once. Alone: what waits.",
        (0, 1),
        _DIGEST,
    ),
    Verb(
        "admin renew",
        "admin renew [ID[@VERSION]] [digest=DIGEST]",
        "Show what runs, to renew its approval; with @VERSION, at once. Alone: what is to be renewed.",
        (0, 1),
        _DIGEST,
    ),
    Verb(
        "admin withdraw",
        "admin withdraw ID[@VERSION]",
        "Take your approval or renewal of a version back while it waits.",
        (1, 1),
    ),
    Verb(
        "admin deprecate",
        'admin deprecate ID[@VERSION|@all] [successor=ID] [reason="…"]',
        "Withdraw one version or all: they no longer run. What is not said is asked for.",
        (1, 1),
        frozenset({"reason", "successor"}),
    ),
    Verb(
        "admin rollback",
        'admin rollback ID[@VERSION] [reason="…"]',
        "Make a deprecated version a draft again.",
        (1, 1),
        _REASON,
    ),
    Verb("admin history", "admin history ID", "Every version of a runbook, and who did what.", (1, 1)),
    Verb("admin verify", "admin verify", "Check the chain of audit rows from its first to its last.", (0, 0)),
)
"""Every verb there is. The help view, the command line and the README's table are made from this."""

ALIASES = {
    "start": "run",
    "execute": "run",
    "stop": "cancel",
    "abort": "cancel",
    "rerun": "replay",
    "deny": "reject",
    "explain": "why",
    "log": "logs",
    "catch-up": "catchup",
    "take-over": "takeover",
    "ls": "list",
    "?": "help",
}

FAMILIES = ("admin", "incident", "audit", "secret")
"""First words of verbs that are two words."""
