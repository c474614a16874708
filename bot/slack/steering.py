"""The verbs that steer a run under way, or begin one from an old one."""

from __future__ import annotations

from bot.grammar import GrammarError, verb
from bot.slack.ask import Ask, the_run
from bot.slack.looking import user
from bot.slack.running import as_given
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code, inline, person
from engine import controls, executions, handover, replaying, skipping
from engine.definition import parameters
from engine.errors import Conflict
from storage.states import ExecutionStatus

CANCELLING = "{} is being cancelled."
ENDED_NOW = "{} ends now, without the rest of its cleanup."


def pause(ask: Ask) -> Message:
    """`pause [RUN]`."""
    run = the_run(ask, ExecutionStatus.RUNNING, ExecutionStatus.WAITING, ExecutionStatus.PENDING)
    done = controls.pause(ask.desk.rt, ask.actor, run, ask.option("reason"))
    return said(f"{code(done.id)} is paused: what runs now finishes, and nothing more starts.")


def resume(ask: Ask) -> Message:
    """`resume [RUN]`."""
    run = the_run(ask, ExecutionStatus.PAUSED)
    return said(f"{code(controls.resume(ask.desk.rt, ask.actor, run, ask.option('reason')).id)} goes on.")


def cancel(ask: Ask) -> Message:
    """`cancel [RUN]`; with force=yes its cleanup ends too."""
    force = ask.command.says_yes("force")
    done = controls.cancel(ask.desk.rt, ask.actor, the_run(ask), ask.option("reason"), force=force)
    return said((ENDED_NOW if force else CANCELLING).format(code(done.id)))


def retry(ask: Ask) -> Message:
    """`retry [RUN] [STEP] [KEY=VALUE …]`."""
    rest, run = ask.command.run[1], the_run(ask, ExecutionStatus.FAILED)
    runbook = executions.view(ask.desk.rt, run).runbook
    given, reason = as_given(runbook, ask.command.options)
    values = parameters.coerce(runbook.parameters, given) if given else None
    done = controls.retry(ask.desk.rt, ask.actor, run, rest[0] if rest else None, values, reason)
    has_gates = any(step.kind == "approval" for step in runbook.by_id.values())
    again = " Its gates are asked again." if values is not None and has_gates else ""
    return said(f"{code(done.id)} goes on from its failed step.{again}")


def skip(ask: Ask) -> Message:
    """`skip [RUN] STEP`; a run that has failed may be meant too."""
    (path,) = ask.command.run[1]
    try:
        run = the_run(ask)
    except Conflict:
        run = the_run(ask, ExecutionStatus.FAILED)
    done = skipping.skip(ask.desk.rt, ask.actor, run, path, ask.option("reason"))
    return said(f"{code(path, 120)} of {code(done.id)} is skipped.")


def resolve(ask: Ask) -> Message:
    """`resolve [RUN] [STEP] retry|done|failed`."""
    _, rest = ask.command.run
    path, choice = (rest[0] if len(rest) > 1 else None), rest[-1].lower()
    open_run = the_run(ask, ExecutionStatus.WAITING)
    done = controls.resolve(ask.desk.rt, ask.actor, open_run, path, choice, ask.option("note"))
    return said(f"Noted for {code(done.id)}: {inline(choice)}.")


def replay(ask: Ask) -> Message:
    """`replay [RUN]`, from the start or from a step."""
    version = ask.option("version").lower() or "same"
    if version not in ("same", "latest"):
        raise GrammarError(f"version=latest or version=same, not “{version[:40]}”.", verb("replay").usage)
    run = the_run(ask, *(status for status in ExecutionStatus if status.ended))
    old = executions.find(ask.desk.rt, run)
    new = replaying.replay(
        ask.desk.rt,
        ask.actor,
        run,
        start_from=ask.option("from") or None,
        latest=version == "latest",
        reason=ask.option("reason"),
    )
    where = f" Its card is where that of {code(old.id)} is." if (old.incident or {}).get("channel") else ""
    return said(f"Started {code(new.id)}: {code(f'{new.slug}@{new.number}')} once more.{where}")


def hand_over(ask: Ask) -> Message:
    """`handover [RUN] @USER`."""
    (word,) = ask.command.run[1]
    to = ask.desk.directory.identify(user(ask, word))
    done = handover.offer(ask.desk.rt, ask.actor, the_run(ask), to, ask.option("reason"))
    return said(f"{code(done.id)} is with {person(done.owner)} now, who is told in its thread.")
