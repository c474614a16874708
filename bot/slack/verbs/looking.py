"""The verbs that look: at runs, at why they stand where they stand, at what is on record, at what one may do."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Any

from bot.grammar import GrammarError, verb
from bot.record_text import log_text
from bot.slack.app_context import AppContext
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.files import upload
from bot.slack.reply import SAFE, Place
from bot.slack.verbs.ask import OPEN, Ask, shown_run
from bot.slack.views import card, lists, story, why
from bot.slack.views.parts import Message, message, said, section
from bot.slack.views.text import code, code_block, escape, inline, is_person, person
from bot.verbs import ALIASES
from engine.access.policy import Actor
from engine.definition.durations import parse_duration
from engine.orchestration import incidents
from engine.queries import can as policy
from engine.queries import catchup, evidence, explain
from engine.runs import executions
from storage.states import ExecutionStatus

INLINE = 2_700
"""Characters of a log, escaped, that are shown in the message itself; a longer one is a file."""

_ID = re.compile(r"<?@?([UW][A-Z0-9]{5,20})>?", re.ASCII)


def status(ask: Ask) -> Message:
    """`status [RUN]`: without one, all that is open here, else the latest."""
    run, rt = ask.command.run[0], ask.ctx.rt
    if run is None and ask.place.thread_ts is None:
        found = executions.recent(rt, channel=ask.place.channel, open_only=True)
        if len(found) > 1:
            return lists.runs_view(found)
    return card.card(executions.view(rt, shown_run(ask), ask.actor), live=False)


def because(ask: Ask) -> Message:
    """`why [RUN]`."""
    return why.why_view(explain.explain(ask.ctx.rt, shown_run(ask)), ask.invoked_as)


def runs(ask: Ask) -> Message:
    """`runs [here|mine|open|all]`, narrowed by options."""
    which = (ask.command.words or ("here",))[0].lower()
    narrowed: dict[str, dict[str, Any]] = {
        "here": {"channel": ask.place.channel},
        "mine": {"requester": ask.actor.user_id},
        "open": {"open_only": True},
        "all": {},
    }
    if which not in narrowed:
        raise _wrong(ask, f"“{which[:40]}” is not one of here, mine, open, all.")
    wanted = narrowed[which] | ({"statuses": _statuses(ask)} if ask.option("status") else {})
    wanted |= {"slug": ask.option("runbook").lower()} if ask.option("runbook") else {}
    wanted |= {"requester": user(ask, ask.option("by"))} if ask.option("by") else {}
    wanted |= {"within_ms": _time(ask, "since")} if ask.option("since") else {}
    return lists.runs_view(executions.recent(ask.ctx.rt, **wanted))


def _statuses(ask: Ask) -> tuple[ExecutionStatus, ...]:
    word = ask.option("status").strip().lower()
    known: dict[str, tuple[ExecutionStatus, ...]] = {status.value.lower(): (status,) for status in ExecutionStatus}
    known |= {"open": OPEN, "succeeded": (ExecutionStatus.SUCCESS,), "queued": (ExecutionStatus.PENDING,)}
    if word not in known:
        near = get_close_matches(word, known, n=1)
        raise _wrong(ask, f"There is no status “{word[:40]}”." + (f" Did you mean “{near[0]}”?" if near else ""))
    return known[word]


def _time(ask: Ask, name: str) -> int:
    try:
        return parse_duration(ask.option(name))
    except ValueError as error:
        raise _wrong(ask, f"{name}: {error}.") from error


def user(ask: Ask, word: str) -> str:
    """Somebody who was mentioned, as an id. Raises GrammarError."""
    if word.lower() in ("me", "@me"):
        return ask.actor.user_id
    found = _ID.fullmatch(word)
    if found is None:
        raise _wrong(ask, f"“{word[:40]}” is nobody: mention the person with @.")
    return found[1]


def _wrong(ask: Ask, sentence: str) -> GrammarError:
    return GrammarError(sentence, verb(ask.command.verb).usage)


def catch_up(ask: Ask) -> Message:
    """`catchup`."""
    rt, channel = ask.ctx.rt, ask.place.channel
    incidents.recognised_by(rt, ask.actor, channel, *ask.ctx.channel_facts(channel))
    return story.catchup_view(catchup.catch_up(rt, ask.actor, channel), ask.invoked_as)


def may(ask: Ask) -> Message:
    """`can [@USER] VERB [ID|RUN]`."""
    words = list(ask.command.words)
    who = user(ask, words.pop(0)) if is_person(words[0]) or words[0].startswith(("@", "<@")) else ask.actor.user_id
    if not words:
        raise _wrong(ask, "Say what they would do, such as run.")
    name = " ".join(words.pop(0).lower() for _ in range(2 if words[0].lower() == "admin" and len(words) > 1 else 1))
    if len(words) > 1:
        raise _wrong(ask, f"“{words[1][:40]}” is one word too many.")
    somebody = ask.actor if who == ask.actor.user_id else ask.ctx.directory.identify(who)
    ruling = policy.can(ask.ctx.rt, somebody, ALIASES.get(name, name), words[0] if words else "")
    return why.can_view(ruling, own=who == ask.actor.user_id)


def logs(ask: Ask) -> Message:
    """`logs [RUN] [STEP]`: in the message where it is short, else as a file."""
    rest = ask.command.run[1]
    return show_logs(ask.ctx, ask.actor, ask.place, shown_run(ask), rest[0] if rest else None)


def show_logs(ctx: AppContext, actor: Actor, place: Place, run: str, path: str | None) -> Message:
    """The log of a run or of one of its steps. Raises EngineError."""
    found = evidence.logs(ctx.rt, actor, run, path)
    text, name = log_text(found), f"{found.execution.id}{f' {path}' if path else ''}"
    if len(escape(text, 5 * INLINE)) <= INLINE:
        return lists.log_view(name, text)
    filename = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:100]}.log"
    return _shared(ctx, place, filename, f"The log of {name}", text.encode())


def evidence_file(ask: Ask) -> Message:
    """`evidence [RUN]`."""
    found = evidence.bundle(ask.ctx.rt, ask.actor, shown_run(ask))
    run = str(found["run"]["id"])
    data = json.dumps(found, indent=1, ensure_ascii=False).encode("utf-8", "replace")
    shared = _shared(ask.ctx, ask.place, f"evidence-{run}.json", f"The evidence of {run}", data)
    digest = f"Its digest is {code(str(found['digest']))}."
    return said(f"{shared.text} {digest}")


def _shared(ctx: AppContext, place: Place, filename: str, title: str, data: bytes) -> Message:
    """Share a file with who asked for it alone, and say where it is."""
    try:
        told = ctx.client.chat_postMessage(channel=place.user, text=f"{title}:", **SAFE)
        upload(ctx.client, str(told["channel"]), str(told["ts"]), filename, title, data)
    except SLACK_TROUBLE as trouble:
        start = code_block(data[:INLINE].decode("utf-8", "ignore"), INLINE)
        why_not = f"⚠️ The file could not be shared ({code(type(trouble).__name__)}), so this is only how it begins:"
        return message(inline(title), [section(f"{why_not}\n{start}")])
    return said(f"{inline(title)} is a file in your messages with this bot, {person(place.user)}.")
