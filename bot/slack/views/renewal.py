"""What platform admins see of approvals: how far one is that takes several people, and what is to be renewed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block, ButtonElement

from bot.slack.ids import Action
from bot.slack.payload_values import VersionPage, VersionRef, VoteRef
from bot.slack.views.parts import Message, actions, button, confirm, context, header, in_parts, message, said, section
from bot.slack.views.text import code, code_block, inline, person, pieces, when
from storage.catalog_records import VersionRecord

if TYPE_CHECKING:
    from engine.catalog.renewals import Approval

MOST = 20
"""Approvals that one message lists."""
_PIECE, _PIECES = 2800, 3


def missing_line(found: Approval) -> str:
    """Who has approved so far and who is missing, "" where one person is enough and nobody has said anything."""
    if not found.quorum.approvals and found.quorum.needed == 1 and len(found.quorum.missing) < 2:
        return ""
    by = ", ".join(person(each) for each in found.quorum.people)
    so_far = f"Approved so far by {by}. " if by else "Nobody has approved it yet. "
    return f"{so_far}It still needs {inline(', '.join(found.quorum.missing), 500)}." if found.quorum.missing else ""


def counted_view(found: Approval) -> Message:
    """That somebody's approval counts, what is still missing, and a button to take it back."""
    version = found.version
    text = f"👍 Your approval of {code(f'{version.slug}@{version.number}')} counts. {missing_line(found)}"
    ref = VoteRef(version.slug, version.number, version.digest, max(each.at for each in found.quorum.approvals))
    return message(text, [section(text), *actions([button("Withdraw it", Action.WITHDRAW_VERSION, ref)])])


def withdrawn_view(version: VersionRecord, missing: Sequence[str]) -> Message:
    """What took the place of a Withdraw button."""
    name = code(f"{version.slug}@{version.number}")
    return said(f"↩️ Your approval of {name} is withdrawn. It needs {inline(', '.join(missing), 500)}.")


def renewed_view(found: Approval) -> Message:
    """What took the place of a Renew button."""
    until = f" It lasts until {when(found.expires_at)}." if found.expires_at is not None else ""
    name = code(f"{found.version.slug}@{found.version.number}")
    return said(f"✅ The approval of {name} is renewed by {person(found.version.decided_by)}.{until}")


def renewals_view(found: Sequence[Approval]) -> Message:
    """The approvals that end soon or have ended, each with a button to read and renew it."""
    if not found:
        return said("✅ No approval is to be renewed.")
    are = "The approval of a runbook ends" if len(found) == 1 else f"The approvals of {len(found)} runbooks end"
    title = f"⏳ *{are} soon or {'has' if len(found) == 1 else 'have'} ended.*"
    more = [context(f"{len(found) - MOST} more are not shown.")] if len(found) > MOST else []
    return message(title, [section(title), *map(renewal_line, found[:MOST]), *more])


def renewal_line(found: Approval) -> Block:
    """One of them with its button."""
    version = found.version
    missing = missing_line(found)
    text = f"{code(f'{version.slug}@{version.number}', 120)} {_end(found)}" + (f"\n{missing}" if missing else "")
    return section(text, button("Renew…", Action.REVIEW_RENEWAL, VersionRef(version.slug, version.number, "")))


def _end(found: Approval) -> str:
    if found.changed:
        return f"⚠️ *starts nothing since its targets have changed:* {inline(', '.join(found.changed), 200)}"
    return f"{'⚠️ *starts nothing since*' if found.expired else 'ends'} {when(found.expires_at or 0)}"


def shown(found: Sequence[Approval]) -> list[list[str | int | bool]]:
    """What a card of these says, to tell whether another one would say something else."""
    return [
        [each.version.slug, each.version.number, each.expires_at or 0, each.expired, *each.changed, *each.quorum.people]
        for each in found
    ]


def renewal_view(found: Approval) -> Message:
    """The whole file of a version, with a button that renews exactly that; in parts where a message cannot hold it."""
    version = found.version
    title = f"{version.slug}@{version.number}, to be renewed"
    blocks: list[Block] = [header(title), *_about(found)]
    texts = list(pieces(version.source, _PIECE))
    blocks += [section(code_block(each)) for each in texts[:_PIECES]]
    if is_cut(version):
        rest = sum(map(len, texts[_PIECES:]))
        blocks.append(section(f"⚠️ *{rest:,} more characters are not shown here.* Read the whole before you renew it."))
        page = VersionPage(version.slug, version.number, version.digest, 0)
        return message(
            inline(title),
            [*blocks, *actions([button("Review and renew", Action.RENEWAL_PAGE, page, style="primary")])],
        )
    return message(inline(title), [*blocks, *actions([_renew(version)])])


def is_cut(version: VersionRecord) -> bool:
    """Whether no message shows the whole of a version's file."""
    return len(list(pieces(version.source, _PIECE))) > _PIECES


def renewal_parts(version: VersionRecord) -> list[list[Block]]:
    """The whole file in parts that a modal holds."""
    return in_parts([section(code_block(each)) for each in pieces(version.source, _PIECE)])


def renewal_part(found: Approval, page: int) -> list[Block]:
    """One part of the file; only below the last one stands the button that renews it."""
    version, parts = found.version, renewal_parts(found.version)
    where = f" · part {page + 1} of {len(parts)}" if len(parts) > 1 else ""
    head = section(f"*{code(f'{version.slug}@{version.number}')}*{where}")
    blocks: list[Block] = [head, *_about(found), *parts[page]]
    if page < len(parts) - 1:
        ref = VersionPage(version.slug, version.number, version.digest, page + 1)
        return [*blocks, *actions([button("Next part", Action.RENEWAL_PAGE, ref, style="primary")])]
    return [*blocks, *actions([_renew(version)])]


def _about(found: Approval) -> list[Block]:
    version = found.version
    author = person(version.author) if version.author else inline(version.author_email or "unknown", 80)
    ended = "expired" if found.expired else "expires"
    until = _end(found) if found.changed else f"its approval {ended} {when(found.expires_at or 0)}"
    by = f"approved by {person(version.decided_by)}" if version.decided_by else ""
    named = [section("\n".join(f"• {inline(line, 400)}" for line in found.calls[:6]))] if found.calls else []
    return [context(f"author {author}", by, until, missing_line(found)), *named]


def _renew(version: VersionRecord) -> ButtonElement:
    ref = VersionRef(version.slug, version.number, version.digest)
    ask = confirm("Renew the approval?", f"{version.slug}@{version.number} may then be run for as long again.", "Renew")
    return button(f"Renew version {version.number}", Action.RENEW_VERSION, ref, style="primary", confirm=ask)
