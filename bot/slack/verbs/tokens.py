"""`token`: what Slack says of one's own tokens, to nobody but oneself."""

from __future__ import annotations

from bot.grammar import verb
from bot.slack.verbs.invocation import Invocation
from bot.slack.views.parts import Message, message, said, section, sections
from bot.slack.views.text import code, inline, when
from engine.access import tokens
from storage.people_records import TokenRecord


def token(invocation: Invocation) -> Message:
    """`token [list|create|revoke] [NAME]`."""
    what, name = (*invocation.command.words, "", "")[:2]
    what = what.lower() or "list"
    if what not in ("list", "create", "revoke"):
        raise invocation.wrong(f"“{what[:40]}” is not one of list, create, revoke.")
    if what == "list":
        return _listed(tokens.listing(invocation.ctx.rt, invocation.actor))
    if not name:
        raise invocation.wrong(f"“token {what}” needs something more.")
    if what == "revoke":
        ended = tokens.revoke(invocation.ctx.rt, invocation.actor, name)
        return said(f"{code(ended.id)} ({inline(ended.name)}) no longer works.")
    made, secret = tokens.create(
        invocation.ctx.rt,
        invocation.actor,
        name,
        scopes=invocation.option("scopes"),
        expires=invocation.option("expires"),
    )
    text = (
        f"Your token {code(made.id)} for {inline(made.name)}, until {when(made.expires_at)}, for {_scopes(made)}:\n"
        f"{code(secret)}\n"
        "Copy it now: nobody can show it again. Whoever has it acts as you."
    )
    return message(f"Your token {made.id}", [section(text)])


def _listed(found: list[TokenRecord]) -> Message:
    if not found:
        return said(f"You have no token. {code(verb('token').usage)} makes one.")
    return message(f"{len(found)} tokens", sections([_line(each) for each in found[:40]]))


def _line(each: TokenRecord) -> str:
    used = f"last used {when(each.last_used_at)}" if each.last_used_at else "never used"
    state = "revoked" if each.revoked_at else f"until {when(each.expires_at)}"
    return f"{code(each.id)} {inline(each.name)} · {_scopes(each)} · {state} · {used}"


def _scopes(each: TokenRecord) -> str:
    return ", ".join(sorted(each.scopes))
