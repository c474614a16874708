"""What `runbook help` says: all verbs, or one of them."""

from __future__ import annotations

import textwrap

from bot.cli import host_commands
from bot.grammar import VERBS, GrammarError, Verb
from bot.help_text import example_of, grouped, parts_of, verbs_about

_WIDTH = 100
_OWN = (
    ("--url URL", "ask this server; else RUNBOOK_URL, else the database that the settings name, on the bot's host"),
    ("--token-file FILE", "your token's file, readable by you alone; else RUNBOOK_TOKEN, else ~/.config/runbook/token"),
    ("--channel ID", "the Slack channel that “here” is, such as C0INC0001: for runs, incidents and new cards"),
    ("--json", "answer as JSON, for programs"),
    ("--wait, --no-wait", "follow the run to its end, or not; run, retry and replay follow when nothing is said"),
    ("--timeout TIME", "follow for so long at most, such as 90s or 15m"),
    ("--version", "say which release this is"),
)
_SHARED = ("audit",)
"""Words that operators and people share, and whose page is people's."""
_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 still open when the --timeout was over."


def page(words: str = "") -> str:
    """The page about a verb, or all of them for "". Raises `GrammarError` for what is no verb."""
    if words in host_commands.VERBS and words not in _SHARED:
        return f"runbook {words}: {host_commands.VERBS[words]}.\n`runbook {words} --help` has its options."
    if not words:
        return _everything()
    try:
        found = verbs_about(words)
    except GrammarError as error:
        raise GrammarError(str(error), "help") from error
    return _one(found[0]) if len(found) == 1 else "\n".join(_listed([(each.usage, each.help) for each in found]))


def _everything() -> str:
    people = [verb for verb in VERBS if verb.name not in ("help", "token")]
    return "\n".join(
        [
            "Runbook Bot runs approved, versioned runbooks.",
            "",
            "usage: runbook COMMAND [WORDS] [KEY=VALUE …] [OPTIONS]",
            "",
            "As a person, by your token, in the words of Slack:",
            *(line for title, members in grouped(people) for line in _chapter(title, members)),
            "",
            "As an operator, on the bot's own host:",
            *_listed(list(host_commands.VERBS.items())),
            "",
            "Options:",
            *_listed(_OWN),
            "",
            _CODES,
            "`runbook help VERB` says more of one.",
        ]
    )


def _chapter(title: str, verbs: list[Verb]) -> list[str]:
    return ["", f" {title}", *_listed([(verb.name, verb.help) for verb in verbs])]


def _one(verb: Verb) -> str:
    lines = [f"usage: runbook {verb.usage}", "", *textwrap.wrap(verb.help, _WIDTH), ""]
    lines += _listed([(part, words.replace("`", "")) for part, words in parts_of(verb)])
    return "\n".join([*lines, "", f"For example: runbook {example_of(verb)}"])


def _listed(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    """Each with its words beside it where there is room, else below."""
    lines = []
    for name, words in pairs:
        first, *rest = textwrap.wrap(words, _WIDTH - 28) or [""]
        lines += [f"  {name:<24}  {first}"] if len(name) <= 24 else [f"  {name}", f"{'':28}{first}"]
        lines += [f"{'':28}{line}" for line in rest]
    return lines
