"""What platform admins see: a version's change with its Approve button, and how a sync went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block, ButtonElement

from bot.slack.ids import Action
from bot.slack.payload_values import VersionPage, VersionRef
from bot.slack.views.errors import problem_line, refused
from bot.slack.views.notice import draft_line
from bot.slack.views.parts import (
    Message,
    actions,
    button,
    confirm,
    context,
    header,
    in_parts,
    message,
    said,
    section,
    sections,
)
from bot.slack.views.text import code, code_block, inline, person, pieces, when
from bot.slack.views.words import version_words
from engine.access.auditing import kind_and_name
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import AuditRecord
from storage.states import VersionStatus

if TYPE_CHECKING:
    from engine.catalog.sync import SyncChange, SyncReport
    from engine.errors import NotApproved
    from engine.queries.audit_chain import Verified

_PIECE, _PIECES = 2800, 3
"""Characters in one block of a diff, escaped, and blocks in one message: Slack refuses messages of about 13,000."""
_WARNINGS, _WARNING = 8, 300
"""Warnings in one message, and characters of each."""
_WORTH_A_LOOK = "⚠️ *Worth a second look*"
_CALLS = "🔑 *What it calls, and with which secrets*"
_REHEARSED, _REHEARSED_LINE = "🎭 *Rehearsed*", 180
_NOTHING_CHANGED = "Nothing changed against the last approved version."
_RUNS = 20
"""Open runs that are named."""
_CHANGES = {"new": "new", "changed": "changed", "deprecated": "gone from the folder, so deprecated"}


def change_view(
    version: VersionRecord, diff: str, warnings: Sequence[str], *, offer: bool, first: bool = False,
    calls: Sequence[str] = (), rehearsed: Sequence[str] = (),
) -> Message:  # fmt: skip
    """What a version changes. With `offer`, a button that approves exactly what is shown, by its digest.

    Where something is left out the button opens all of it in parts instead. `first` says that nothing was approved
    before, so that `diff` is the whole file. `calls` are the hosts that it calls with their secrets, `rehearsed` says
    what its rehearsal came to.
    """
    title = f"{version.slug}@{version.number}, {version_words(version.status)}"
    blocks: list[Block] = [header(title), *_about(version, first)]
    blocks += _diff_blocks(diff)
    if warnings:
        lines = [_WORTH_A_LOOK, *(f"• {inline(text, _WARNING)}" for text in warnings[:_WARNINGS])]
        more = len(warnings) - _WARNINGS
        blocks.append(section("\n".join([*lines, *([f"… and {more} more, not shown here"] if more > 0 else [])])))
    if calls and not _calls_cut(calls):
        blocks.append(section(_calls_text(calls)))
    if rehearsed:
        blocks.append(section("\n".join([_REHEARSED, *(f"• {inline(line, _REHEARSED_LINE)}" for line in rehearsed)])))
    if offer and version.status is VersionStatus.DRAFT:
        others = [each for each in _next_acts(version) if each is not Action.REVIEW_VERSION]
        page = VersionPage(version.slug, version.number, change_digest(diff, warnings), 0)
        review = button("Review and approve", Action.VERSION_PAGE, page, style="primary")
        main = review if is_cut(diff, warnings, calls) else _approve(version)
        blocks += actions([main, *(_act(version, each) for each in others)])
    return message(inline(title), blocks)


def change_parts(diff: str, warnings: Sequence[str], calls: Sequence[str] = ()) -> list[list[Block]]:
    """All that a version changes and calls, and all that deserves a second look, in parts that a modal holds."""
    blocks: list[Block] = [section(code_block(piece)) for piece in pieces(diff, _PIECE)]
    blocks = blocks or [section(_NOTHING_CHANGED)]
    lines = [f"• {inline(text, 2500)}" for text in warnings]
    called = [_CALLS, *(f"• {inline(line, 2500)}" for line in calls)] if calls else []
    return in_parts([*blocks, *sections([_WORTH_A_LOOK, *lines] if lines else []), *sections(called)])


def change_part(
    version: VersionRecord, diff: str, warnings: Sequence[str], page: int, *, first: bool, calls: Sequence[str] = ()
) -> list[Block]:
    """One part of a version's change in full. Only below the last one stands the button that approves it."""
    found = change_parts(diff, warnings, calls)
    where = f" · part {page + 1} of {len(found)}" if len(found) > 1 else ""
    blocks = [section(f"*{code(f'{version.slug}@{version.number}')}*{where}"), *_about(version, first), *found[page]]
    if page < len(found) - 1:
        ref = VersionPage(version.slug, version.number, change_digest(diff, warnings), page + 1)
        return [*blocks, *actions([button("Next part", Action.VERSION_PAGE, ref, style="primary")])]
    return [*blocks, *(actions([_approve(version)]) if version.status is VersionStatus.DRAFT else [])]


def change_digest(diff: str, warnings: Sequence[str]) -> str:
    """What says whether a change is still the one that was shown: it is one against the last approved version."""
    return hashlib.sha256(json.dumps([diff, *warnings]).encode()).hexdigest()[:32]


def _about(version: VersionRecord, first: bool) -> list[Block]:
    author = person(version.author) if version.author else inline(version.author_email or "unknown", 80)
    facts = [f"author {author}", f"commit {code((version.source_commit or 'none')[:12])}", when(version.created_at)]
    told: list[Block] = [section("*First version: the whole file*")] if first else []
    return [context(" · ".join(facts), inline(version.note, 500)), *told]


def _approve(version: VersionRecord) -> ButtonElement:
    ref = VersionRef(version.slug, version.number, version.digest)
    ask = confirm("Approve this version?", f"{version.slug}@{version.number} may then be run.", "Approve it")
    return button(f"Approve version {version.number}", Action.APPROVE_VERSION, ref, style="primary", confirm=ask)


def _calls_text(calls: Sequence[str]) -> str:
    return "\n".join([_CALLS, *(f"• {inline(line, 10**6)}" for line in calls)])


def _calls_cut(calls: Sequence[str]) -> bool:
    """Whether the hosts and secrets are too many for a message."""
    return len(_calls_text(calls)) > _PIECE


def is_cut(diff: str, warnings: Sequence[str], calls: Sequence[str] = ()) -> bool:
    """Whether a message leaves out something of a change."""
    long = any(inline(text, _WARNING) != inline(text, 10**6) for text in warnings)
    return long or len(warnings) > _WARNINGS or len(list(pieces(diff, _PIECE))) > _PIECES or _calls_cut(calls)


def drafts_view(drafts: Sequence[VersionRecord], command: str) -> Message:
    """The drafts that this person may approve, each with its Review button."""
    if not drafts:
        how = f"{code(f'{command} list status=draft')} lists all drafts."
        return said(f"Nothing waits for your approval. {how}")
    return message("Waiting for your approval", [section("*Waiting for your approval*"), *map(draft_line, drafts)])


def not_approved_view(refusal: NotApproved, waiting: VersionRecord, command: str) -> Message:
    """Why a runbook does not run, for somebody who may change that, with a button to look at the change."""
    told = refused(refusal, command)
    return message(told, [section(told), draft_line(waiting)])


def version_acts(version: VersionRecord) -> list[Block]:
    """What a platform admin can do next with a runbook's newest version, as buttons."""
    return actions([_act(version, each) for each in _next_acts(version)])


def _next_acts(version: VersionRecord) -> list[Action]:
    following = {
        VersionStatus.DRAFT: [Action.REVIEW_VERSION, Action.DEPRECATE],
        VersionStatus.APPROVED: [Action.DEPRECATE],
        VersionStatus.DEPRECATED: [Action.ROLLBACK],
    }
    return [*following[version.status], Action.HISTORY]


def _act(version: VersionRecord, action: Action) -> ButtonElement:
    sure = None
    if action is Action.ROLLBACK:
        sure = confirm(
            "Roll it back?", f"{version.slug}@{version.number} becomes a draft, to be approved.", "Roll back"
        )
    return button(_ACTS[action], action, VersionRef(version.slug, version.number, version.digest), confirm=sure)


_ACTS = {
    Action.REVIEW_VERSION: "Review the change…",
    Action.DEPRECATE: "Deprecate…",
    Action.ROLLBACK: "Roll back",
    Action.HISTORY: "History",
}


def _diff_blocks(diff: str) -> list[Block]:
    if not diff.strip():
        return [section(_NOTHING_CHANGED)]
    shown: list[Block] = []
    rest = 0
    for piece in pieces(diff, _PIECE):
        if len(shown) < _PIECES:
            shown.append(section(code_block(piece)))
        else:
            rest += len(piece)
    warning = f"⚠️ *{rest:,} more characters are not shown here.* Read the whole file before you decide."
    return [*shown, section(warning)] if rest else shown


def approved_view(version: VersionRecord) -> Message:
    """What took the place of an Approve button."""
    return said(f"✅ {code(f'{version.slug}@{version.number}')} is approved by {person(version.decided_by)}.")


def deprecated_view(
    slug: str, versions: Sequence[VersionRecord], runs: Sequence[str], reason: str, command: str | None,
    successor: str = "",
) -> Message:  # fmt: skip
    """Which versions were withdrawn and why, and the open runs that stop; with a `command`, how to bring it back."""
    names = ", ".join(code(f"{slug}@{version.number}") for version in sorted(versions, key=lambda each: each.number))
    are = "is" if len(versions) == 1 else "are"
    told = [f"⛔ {names} {are} deprecated and no longer {'runs' if are == 'is' else 'run'}."]
    told += [f"Reason: {inline(reason, 500)}"] if reason else []
    told += [f"Whoever runs it is told to use {code(successor)} instead."] if successor else []
    shown = ", ".join(code(run) for run in runs[:_RUNS]) + (" …" if len(runs) > _RUNS else "")
    told += [f"Open runs that stop before their next step: {shown}."] if runs else ["No open run is stopped by this."]
    if command is not None:
        told.append(f"To bring it back as a draft: {code(f'{command} admin rollback {slug}')}.")
    return message(told[0], sections(told))


def rolled_back_view(version: VersionRecord, command: str) -> Message:
    """What was brought back, and what it still needs before it runs."""
    again = code(f"{command} admin approve {version.slug}")
    return said(f"↩️ {code(f'{version.slug}@{version.number}')} is a draft again. To let it run: {again}.")


def history_view(runbook: RunbookRecord, versions: Sequence[VersionRecord], deeds: Sequence[AuditRecord]) -> Message:
    """Every version of a runbook, the newest first, and who did what with it."""
    title = f"{runbook.name} ({runbook.slug})"
    blocks: list[Block] = [header(title), *sections(["*Versions*", *(version_line(each) for each in versions[:15])])]
    blocks += [context(f"{len(versions) - 15} older versions are not shown.")] if len(versions) > 15 else []
    blocks += sections(["*Who did what*", *(_deed(row) for row in deeds[:20])]) if deeds else []
    blocks += [context(f"Its successor is {code(runbook.successor)}.")] if runbook.successor else []
    return message(inline(title), blocks)


def version_line(version: VersionRecord) -> str:
    """A version in a list: its state, who wrote it, when it came, who decided."""
    author = person(version.author) if version.author else inline(version.author_email or "an unknown author", 80)
    decided = f", decided by {person(version.decided_by)}" if version.decided_by else ""
    commit = f" · commit {code(version.source_commit[:12])}" if version.source_commit else ""
    note = f": {inline(version.note, 300)}" if version.note and version.status is VersionStatus.DEPRECATED else ""
    state = f"{version.number} · {version_words(version.status)}"
    return f"{state} · {author} · {when(version.created_at)}{commit}{decided}{note}"


def _deed(row: AuditRecord) -> str:
    who = person(row.actor) if row.actor != "system" else "The bot"
    detail = row.detail if isinstance(row.detail, dict) else {}
    why = f": {inline(str(detail['reason']), 200)}" if detail.get("reason") else ""
    did = _DEEDS.get(row.action, inline(row.action, 40))
    return f"• {when(row.at)} {who} {did} {code(kind_and_name(row.thing)[1], 120)}{why}"


_DEEDS = {
    "runbook.draft": "took in",
    "runbook.approve": "approved",
    "runbook.deprecate": "deprecated",
    "runbook.rollback": "rolled back",
    "runbook.vote": "approved, as one of several,",
    "runbook.renew": "renewed",
    "runbook.withdraw": "took an approval back of",
}


def verified_view(found: Verified) -> Message:
    """Whether the chain of audit rows holds, and the head to note elsewhere."""
    noted = code(found.mac or found.hash)
    head = f"Its head is row {found.seq}, {noted}: note it elsewhere, and nobody can cut rows off unseen."
    if not found.troubles:
        return said(f"✅ The chain of {found.rows:,} audit rows holds from the first to the last. {head}")
    lines = [f"⚠️ *The chain of audit rows does not hold* at {len(found.troubles)} places:"]
    lines += [f"• row {each.seq} {inline(each.what, 200)}" for each in found.troubles]
    return message(lines[0], sections([*lines, head]))


def sync_view(report: SyncReport, command: str) -> Message:
    """What reading the folder changed, and what is wrong in it."""
    lines = [
        f"Read the runbooks: {len(report.changes)} changed, {report.unchanged} as before, "
        f"{len(report.problems)} problems."
    ]
    lines += [_change_line(change, command) for change in report.changes[:20]]
    if report.last is not None:
        who = "the bot, which watches the folder" if report.last.by == "system" else person(report.last.by)
        lines.append(f"The last change was read {when(report.last.at)} by {who}:")
        lines += [_change_line(change, command) for change in report.last.changes[:20]]
    lines += [f"• {problem_line(problem)}" for problem in report.problems[:10]]
    return message(lines[0], sections(lines))


def _change_line(change: SyncChange, command: str) -> str:
    approve = "" if change.kind == "deprecated" else f" · to approve: {code(f'{command} admin approve {change.slug}')}"
    return f"• {code(f'{change.slug}@{change.number}')} {_CHANGES.get(change.kind, inline(change.kind, 40))}{approve}"
