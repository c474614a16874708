"""The verbs that look: at runs, at why they stand where they stand, at what is on record, at what one may do."""

from __future__ import annotations

import json
import re

from bot import evidence_page, run_filter
from bot.record_text import log_text
from bot.slack.app_context import AppContext
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.files import upload
from bot.slack.reply import SAFE, ReplyTo
from bot.slack.verbs.invocation import Invocation, shown_run
from bot.slack.views import card, lists, story, why
from bot.slack.views.parts import Message, message, said, section
from bot.slack.views.text import code, code_block, escape, inline, is_person, person
from bot.verbs import ALIASES
from engine.access.policy import Actor
from engine.orchestration import incidents
from engine.queries import can as policy
from engine.queries import evidence, explain, incident_story
from engine.runs import executions
from storage.records import Filter

INLINE = 2_700
"""Characters of a log, escaped, that are shown in the message itself; a longer one is a file."""

_ID = re.compile(r"<?@?([UW][A-Z0-9]{5,20})>?", re.ASCII)


def status(invocation: Invocation) -> Message:
    """`status [RUN]`: without one, all that is open here, else the latest."""
    run, rt = invocation.command.run[0], invocation.ctx.rt
    if run is None and invocation.reply_to.thread_ts is None:
        found = executions.recent(rt, Filter(channel=invocation.reply_to.channel, open=True))
        if len(found) > 1:
            return lists.runs_view(found)
    return card.card(executions.view(rt, shown_run(invocation), invocation.actor), live=False)


def because(invocation: Invocation) -> Message:
    """`why [RUN]`."""
    return why.why_view(explain.explain(invocation.ctx.rt, shown_run(invocation)), invocation.invoked_as)


def runs(invocation: Invocation) -> Message:
    """`runs [here|mine|open|all]`, narrowed by options."""
    which = (invocation.command.words or ("here",))[0]
    reply_to, actor = invocation.reply_to, invocation.actor
    try:
        wanted = run_filter.of_words(
            which, invocation.command.options, here=lambda: reply_to.channel, me=lambda: actor.user_id,
            person=lambda word: user(invocation, word),
        )  # fmt: skip
    except ValueError as error:
        raise invocation.wrong(str(error)) from error
    return lists.runs_view(executions.recent(invocation.ctx.rt, wanted))


def user(invocation: Invocation, word: str) -> str:
    """Somebody who was mentioned, as an id. Raises GrammarError."""
    if word.lower() in ("me", "@me"):
        return invocation.actor.user_id
    found = _ID.fullmatch(word)
    if found is None:
        raise invocation.wrong(f"“{word[:40]}” is nobody: mention the person with @.")
    return found[1]


def catch_up(invocation: Invocation) -> Message:
    """`catchup`."""
    rt, channel = invocation.ctx.rt, invocation.reply_to.channel
    incidents.recognised_by(rt, invocation.actor, channel, *invocation.ctx.channel_facts(channel))
    return story.catchup_view(incident_story.catch_up(rt, invocation.actor, channel), invocation.invoked_as)


def may(invocation: Invocation) -> Message:
    """`can [@USER] VERB [ID|RUN]`."""
    words = list(invocation.command.words)
    who = (
        user(invocation, words.pop(0))
        if is_person(words[0]) or words[0].startswith(("@", "<@"))
        else invocation.actor.user_id
    )
    if not words:
        raise invocation.wrong("Say what they would do, such as run.")
    name = " ".join(
        words.pop(0).lower() for _ in range(2 if words[0].lower() in ("admin", "secret") and len(words) > 1 else 1)
    )
    if len(words) > 1:
        raise invocation.wrong(f"“{words[1][:40]}” is one word too many.")
    somebody = invocation.actor if who == invocation.actor.user_id else invocation.ctx.directory.identify(who)
    ruling = policy.can(invocation.ctx.rt, somebody, ALIASES.get(name, name), words[0] if words else "")
    return why.can_view(ruling, own=who == invocation.actor.user_id)


def logs(invocation: Invocation) -> Message:
    """`logs [RUN] [STEP]`: in the message where it is short, else as a file."""
    rest = invocation.command.run[1]
    return show_logs(
        invocation.ctx, invocation.actor, invocation.reply_to, shown_run(invocation), rest[0] if rest else None
    )


def show_logs(ctx: AppContext, actor: Actor, reply_to: ReplyTo, run: str, path: str | None) -> Message:
    """The log of a run or of one of its steps. Raises EngineError."""
    found = evidence.logs(ctx.rt, actor, run, path)
    text, name = log_text(found), f"{found.execution.id}{f' {path}' if path else ''}"
    if len(escape(text, 5 * INLINE)) <= INLINE:
        return lists.log_view(name, text)
    filename = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:100]}.log"
    return shared(ctx, reply_to, filename, f"The log of {name}", text.encode())


def evidence_file(invocation: Invocation) -> Message:
    """`evidence [RUN] [html=yes]`."""
    found = evidence.bundle(invocation.ctx.rt, invocation.actor, shown_run(invocation))
    run = str(found["run"]["id"])
    as_page = invocation.command.says_yes("html")
    text = evidence_page.page(found) if as_page else json.dumps(found, indent=1, ensure_ascii=False)
    name = f"evidence-{run}.{'html' if as_page else 'json'}"
    told = shared(invocation.ctx, invocation.reply_to, name, f"The evidence of {run}", text.encode("utf-8", "replace"))
    digest = f"Its digest is {code(str(found['digest']))}."
    return said(f"{told.text} {digest}")


def shared(ctx: AppContext, reply_to: ReplyTo, filename: str, title: str, data: bytes) -> Message:
    """Share a file with who asked for it alone, and say where it is."""
    try:
        told = ctx.client.chat_postMessage(channel=reply_to.user, text=f"{title}:", **SAFE)
        upload(ctx.client, str(told["channel"]), str(told["ts"]), filename, title, data)
    except SLACK_TROUBLE as trouble:
        start = code_block(data[:INLINE].decode("utf-8", "ignore"), INLINE)
        why_not = f"⚠️ The file could not be shared ({code(type(trouble).__name__)}), so this is only how it begins:"
        return message(inline(title), [section(f"{why_not}\n{start}")])
    return said(f"{inline(title)} is a file in your messages with this bot, {person(reply_to.user)}.")
