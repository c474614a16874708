"""What help says of one verb: its usage, words on each part of that, and an example."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from bot.grammar import GrammarError
from bot.verbs import ALIASES, FAMILIES, VERBS, Verb

_PART = re.compile(r"[A-Z]+=[A-Z]+|[a-z]+(?:\|[a-z]+)+|[a-z_]+(?==)|[A-Z_]+\|(?:all|[A-Z_]+)|@?[A-Z][A-Z_]+")
_PARTS = {
    "VERB": "one of the verbs, such as `run` or `admin approve`",
    "@USER": "somebody, by a mention",
    "TEXT": "words that the id, the name or the description has to hold",
    "tag": "only runbooks with this tag",
    "team": "only runbooks of this team",
    "ID": "a runbook's id, as `list` shows it",
    "VERSION": "the number of a version; left out, the newest",
    "RUN": "a run's id such as R-7K2M9Q; left out, the run of this thread or the only one here that can be meant",
    "STEP": "a step as the card writes it, such as restart or each[3].check",
    "here|mine|open|all": "runs of this channel, your own, those still open, or all",
    "retry|done|failed": "call again, take it as done, or take it as failed",
    "@all": "all versions of it",
    "ID|RUN": "a runbook's id or a run's",
    "status": "only those in this state: runs such as failed, runbooks such as draft or expiring",
    "runbook": "only runs of this runbook",
    "by": "only runs that this person asked for or answers for",
    "since": "only runs since then: 2h, 30m or 1d",
    "reuse_within": "such as 10m: takes the same run instead of a new one, if it succeeded that lately",
    "TITLE": "what it is about, in a few words",
    "title": "what it is about",
    "severity": "how bad it is, in your own words, such as sev1",
    "successor": "the id of the runbook to be used instead, which run then names",
    "list|create|revoke": "what to do; left out, list",
    "NAME": "what a new token is for, in quotes where it has spaces; for revoke the token's id",
    "scopes": "read, run, approve and admin, with commas between; left out, read,run",
    "expires": "how long it lasts, up to 366d; left out, 90d",
    "reason": "why; it goes into the record",
    "comment": "what the others should know; it goes into the record",
    "note": "what you saw or did; it goes into the record",
    "HELD": "a held request's id, such as H-7K2M9QXY",
    "HELD|all": "the ids of held requests, or all of them",
    "BREAK_GLASS": "a break-glass's id, such as B-7K2M9QXY",
    "RUN|BREAK_GLASS": "a run's id, or the id of a break-glass",
    "break_glass": "yes asks a second person to let it run in spite of a freeze, a missing approval or a quorum",
    "SCOPE": "everything, team:NAME, tag:NAME or a runbook's id",
    "SCOPE|FREEZE": "everything, team:NAME, tag:NAME, a runbook's id, or the id of one freeze",
    "for": "how long it lasts instead: 2h or 3d",
    "live": "yes makes the calls that steps name under dry_run; only for who may start the run now",
    "plan": "the digest of a plan: what would not be exactly that is refused",
    "digest": "that of what was shown: what reads otherwise by now is refused",
    "resume": "yes lets go on what it has paused",
    "from": "the step to start at; what comes before is taken over",
    "html": "yes for one page to print, with the same in it",
    "who": "only what this person did; system for the bot itself",
    "action": "only this deed, such as execution.start or approval.vote",
    "thing": "only what was done to this, such as execution:R-7K2M9Q or runbook:restart-checkout@3",
    "until": "only what was before then: a date such as 2027-01-31, or how long ago",
    "version": "latest runs the version that runs now, not the one of then",
}
_FORCE = {
    "run": "yes runs it although the same run is open",
    "cancel": "yes ends the cleanup too",
    "incident close": "yes closes it although runs are open",
}
_OF_ROWS = {
    "since": "only rows since then: 2h, 7d, or a date such as 2027-01-31",
    "severity": "only rows of this severity: info, notice, warning or critical",
}
_OWN_PARTS: dict[str, dict[str, str]] = {
    "freeze": {"until": "when it ends: 18:00, 2026-11-28T18:00, or with an offset; at most 31 days from now"},
    "report": {
        "from": "when it begins",
        "team": "only what belongs to this team",
        "format": "csv, a table, or html, a page to print; left out, csv",
    },
    "audit": _OF_ROWS,
    "audit export": {**_OF_ROWS, "format": "jsonl, or cef, the Common Event Format; left out, jsonl"},
}
"""What a part means to one verb alone."""
_HOLD = {
    "run": "yes keeps the request until a freeze ends, and somebody releases it",
    "freeze": "running pauses what is under way, too; then 4h where no end is said",
}
_FACT = "a fact of the incident and its value, such as service=checkout; runbooks take parameters from it"
_SECRET = "the secret's name, as in `secrets.lb_token` without `secrets.`"  # noqa: S105 - words
_ANSWER = "an answer that the step's form asks for, in quotes where it has spaces"
_VALUE = {"incident open": _FACT, "incident set": _FACT, "done": _ANSWER, "approve": _ANSWER}
_ANY_VALUE = "a parameter and its value, in quotes where it has spaces"
_EXAMPLES = {
    "help": "help resolve",
    "list": "list restart tag=checkout",
    "show": "show restart-checkout",
    "diff": "diff restart-checkout@3",
    "studio": "studio restart-checkout",
    "run": 'run restart-checkout service=checkout reason="hangs since 9:12"',
    "plan": "plan restart-checkout service=checkout",
    "status": "status R-7K2M9Q",
    "why": "why R-7K2M9Q",
    "runs": "runs here status=failed since=2h",
    "catchup": "catchup",
    "logs": "logs R-7K2M9Q restart",
    "evidence": "evidence R-7K2M9Q",
    "can": "can <@U0BOB0001> run restart-checkout",
    "pause": 'pause R-7K2M9Q reason="let me look"',
    "resume": "resume R-7K2M9Q",
    "cancel": 'cancel R-7K2M9Q reason="wrong service"',
    "retry": "retry R-7K2M9Q restart host=web2",
    "skip": 'skip R-7K2M9Q restart reason="done by hand"',
    "agree": "agree R-7K2M9Q restart",
    "replay": 'replay R-7K2M9Q from=restart reason="the host is back"',
    "resolve": 'resolve R-7K2M9Q restart done note="uptime is 2 minutes"',
    "done": 'done R-7K2M9Q swap-disk slot=3 note="the new one is in"',
    "could-not": 'could-not R-7K2M9Q swap-disk note="no spare part"',
    "handover": 'handover R-7K2M9Q <@U0BOB0001> reason="end of my shift"',
    "takeover": "takeover R-7K2M9Q",
    "approve": "approve R-7K2M9Q",
    "reject": 'reject R-7K2M9Q comment="traffic peak"',
    "withdraw": "withdraw R-7K2M9Q",
    "incident": "incident",
    "incident open": "incident open Checkout is slow severity=sev1 service=checkout",
    "incident set": "incident set severity=sev2 service=basket",
    "incident close": 'incident close reason="the cache is warm again"',
    "freeze": 'freeze team:payments until=18:00 reason="release night"',
    "unfreeze": "unfreeze team:payments",
    "freezes": "freezes",
    "held": "held",
    "release": "release H-7K2M9QXY",
    "reviews": "reviews",
    "review": 'review B-7K2M9QXY note="the disk was full"',
    "token": 'token create "deploy job" scopes=read,run expires=30d',
    "audit": "audit who=<@U0BOB0001> severity=warning since=7d",
    "audit export": "audit export format=cef since=2027-01-01",
    "report": "report from=2027-01-01 until=2027-02-01 team=payments format=html",
    "secret list": "secret list",
    "secret set": "secret set lb_token",
    "secret delete": "secret delete lb_token",
    "secret rotate-keys": "secret rotate-keys",
    "admin sync": "admin sync",
    "admin approve": "admin approve restart-checkout",
    "admin renew": "admin renew restart-checkout",
    "admin withdraw": "admin withdraw restart-checkout@3",
    "admin deprecate": 'admin deprecate restart-checkout successor=restart-service reason="one for all"',
    "admin rollback": "admin rollback restart-checkout",
    "admin history": "admin history restart-checkout",
    "admin verify": "admin verify",
}


GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Find a runbook and run it", ("list", "show", "plan", "run", "replay")),
    ("See how it goes", ("status", "why", "runs", "catchup", "logs", "evidence")),
    ("Steer a run", (
        "pause", "resume", "cancel", "retry", "skip", "resolve", "done", "could-not", "handover", "takeover",
    )),
    ("Decide what waits", ("approve", "reject", "withdraw", "agree")),
    ("Keep the incident", ("incident", "incident open", "incident set", "incident close")),
    ("Keep the runbooks", (
        "studio", "admin sync", "diff", "admin approve", "admin renew", "admin withdraw", "admin deprecate",
        "admin rollback", "admin history", "admin verify",
    )),
    ("Freeze, and run all the same", ("freeze", "unfreeze", "freezes", "held", "release", "reviews", "review")),
    ("Audit", ("audit", "audit export", "report")),
    ("Keep secrets", ("secret list", "secret set", "secret delete", "secret rotate-keys")),
    ("Help and rights", ("help", "can", "token")),
)  # fmt: skip
"""Every verb under what one wants to do with it."""
SELDOM = frozenset({"Freeze, and run all the same", "Audit", "Keep secrets"})
"""Groups of which a list of everything has the names alone, so that it stays short enough to be read."""


def grouped(verbs: Iterable[Verb]) -> list[tuple[str, list[Verb]]]:
    """These verbs under what one wants to do, groups without any left out."""
    by_name = {verb.name: verb for verb in verbs}
    found = [(title, [by_name[name] for name in names if name in by_name]) for title, names in GROUPS]
    return [(title, members) for title, members in found if members]


def verbs_about(words: str) -> tuple[Verb, ...]:
    """The verbs that help is asked about: all for "", a family for "admin" or "incident", else the one of that name.

    Raises GrammarError for any other words, naming the nearest verb.
    """
    name = ALIASES.get(words, words)
    if not name or name == "all":
        return VERBS
    family = name in FAMILIES
    found = tuple(verb for verb in VERBS if verb.name == name or (family and verb.name.startswith(f"{name} ")))
    if found:
        return found
    near = difflib.get_close_matches(name, [verb.name for verb in VERBS], n=1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise GrammarError(f"There is no verb “{words[:40]}”.{hint}", f"help {near[0]}" if near else "help")


def parts_of(verb: Verb) -> list[tuple[str, str]]:
    """The parts of a verb's usage behind its name, in order, each with words on it."""
    known = {
        **_PARTS,
        **_OWN_PARTS.get(verb.name, {}),
        "force": _FORCE.get(verb.name, ""),
        "hold": _HOLD.get(verb.name, ""),
        "KEY=VALUE": _VALUE.get(verb.name, _ANY_VALUE),
    }
    if verb.name.startswith("secret "):
        known["NAME"] = _SECRET
    found = dict.fromkeys(_PART.findall(verb.usage.removeprefix(verb.name)))
    return [(part, known[part]) for part in found if part in known and part not in _VALUES.get(verb.name, ())]


_VALUES = {
    "list": ("TAG", "TEAM"),
    "report": ("TEAM", "TIME"),
    **dict.fromkeys(("audit", "audit export"), ("@USER", "SEVERITY", "TIME", "ACTION", "THING")),
    "replay": ("STEP",),
    "run": ("TIME", "DIGEST"),
    "runs": ("STATUS", "ID", "TIME", "@USER"),
    "incident open": ("SEVERITY",),
    "incident set": ("SEVERITY",),
}
"""Parts of a usage that only stand for the value of the option before them."""


def example_of(verb: Verb) -> str:
    """One whole line that could be typed, without the command's name."""
    return _EXAMPLES[verb.name]
