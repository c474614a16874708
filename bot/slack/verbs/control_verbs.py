"""The verbs that steer a run under way, or begin one from an old one."""

from __future__ import annotations

from bot.grammar import BREAK_GLASS_ID
from bot.run_options import as_given
from bot.slack.verbs import kept_requests
from bot.slack.verbs.invocation import Invocation, the_run
from bot.slack.verbs.queries import user
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code, inline, person
from bot.slack.views.why import people
from engine.definition import parameters
from engine.errors import Conflict
from engine.runs import controls, executions, handover, replay_run, skipping
from engine.runtime import Runtime
from storage.records import ExecutionRecord
from storage.states import ExecutionStatus, StepStatus

ENDED = tuple(status for status in ExecutionStatus if status.ended)
_MOST = 5
"""Gates that are named in one sentence."""
CANCELLING = "{} is being cancelled."
ENDED_NOW = "{} ends now, without the rest of its cleanup."


def pause(invocation: Invocation) -> Message:
    """`pause [RUN]`."""
    run = the_run(invocation, ExecutionStatus.RUNNING, ExecutionStatus.WAITING, ExecutionStatus.PENDING)
    done = controls.pause(invocation.ctx.rt, invocation.actor, run, invocation.option("reason"))
    return said(f"{code(done.id)} is paused: what runs now finishes, and nothing more starts.")


def resume(invocation: Invocation) -> Message:
    """`resume [RUN]`."""
    run = the_run(invocation, ExecutionStatus.PAUSED)
    return said(
        f"{code(controls.resume(invocation.ctx.rt, invocation.actor, run, invocation.option('reason')).id)} goes on."
    )


def cancel(invocation: Invocation) -> Message:
    """`cancel [RUN]`; with force=yes its cleanup ends too."""
    force = invocation.command.says_yes("force")
    done = controls.cancel(
        invocation.ctx.rt, invocation.actor, the_run(invocation), invocation.option("reason"), force=force
    )
    return said((ENDED_NOW if force else CANCELLING).format(code(done.id)))


def retry(invocation: Invocation) -> Message:
    """`retry [RUN] [STEP] [KEY=VALUE …]`."""
    rest, run = invocation.command.run[1], the_run(invocation, ExecutionStatus.FAILED)
    runbook = executions.view(invocation.ctx.rt, run).runbook
    given, reason = as_given(runbook.parameters, invocation.command.options)
    values = parameters.coerce(runbook.parameters, given) if given else None
    done = controls.retry(invocation.ctx.rt, invocation.actor, run, rest[0] if rest else None, values, reason)
    return said(f"{code(done.id)} goes on from its failed step.{asks_again(done)}")


def asks_again(run: ExecutionRecord) -> str:
    """What is said of a run that asks gates again before anything else, those of branches, loops and children too."""
    if not run.reopened_gates:
        return ""
    return f" Before that {'a gate is' if run.reopened_gates == 1 else f'{run.reopened_gates} gates are'} asked again."


def skip(invocation: Invocation) -> Message:
    """`skip [RUN] STEP`; a run that has failed may be meant too."""
    (path,) = invocation.command.run[1]
    run = _open_or_failed(invocation)
    done = skipping.skip(invocation.ctx.rt, invocation.actor, run, path, invocation.option("reason"))
    return skipped(invocation.ctx.rt, done.id, path)


def skipped(rt: Runtime, run: str, path: str) -> Message:
    """What came of asking for a skip: it is done, is done in its turn, or waits for somebody to agree."""
    view, what = executions.view(rt, run), f"{code(path, 120)} of {code(run)}"
    step = next(each for each in view.steps if each.path == path)
    if step.status is StepStatus.SKIPPED:
        return said(f"{what} is skipped.")
    asked = next((each for each in skipping.requests(rt, view) if each.step.path == path), None)
    if asked is None:
        return said(f"{what} is skipped when its turn comes.")
    gates = ", ".join(code(gate.approval.path, 120) for gate in asked.gates[:_MOST]) or "a gate"
    who = people(skipping.asked_people(rt, asked)) or "somebody who decides there"
    return said(f"{what} is not skipped yet: {gates} has released it as it is, so {who} has to agree.")


def agree(invocation: Invocation) -> Message:
    """`agree [RUN] [STEP]`; a run that has failed may be meant too, and the only step that is asked about.

    `agree BREAK_GLASS` is about that.
    """
    if invocation.command.words and BREAK_GLASS_ID.fullmatch(invocation.command.words[0]):
        return kept_requests.agree(invocation)
    rest, rt = invocation.command.run[1], invocation.ctx.rt
    run = _open_or_failed(invocation)
    path = rest[0] if rest else _the_asked(rt, run)
    skipping.agree(rt, invocation.actor, run, path)
    return agreed(rt, run, path)


def agreed(rt: Runtime, run: str, path: str) -> Message:
    """The word that somebody's agreeing counts, and what follows."""
    return said(f"You agreed. {skipped(rt, run, path).text}")


def _the_asked(rt: Runtime, run: str) -> str:
    asked = [each.step.path for each in skipping.requests(rt, executions.view(rt, run))]
    if len(asked) == 1:
        return asked[0]
    if not asked:
        raise Conflict(f"Nobody asks to skip a step of {run}.")
    raise Conflict(f"Several steps of {run} are asked to be skipped: {', '.join(asked)}. Say which.")


def _open_or_failed(invocation: Invocation) -> str:
    try:
        return the_run(invocation)
    except Conflict:
        return the_run(invocation, ExecutionStatus.FAILED)


def resolve(invocation: Invocation) -> Message:
    """`resolve [RUN] [STEP] retry|done|failed`."""
    _, rest = invocation.command.run
    path, choice = (rest[0] if len(rest) > 1 else None), rest[-1].lower()
    open_run = the_run(invocation, ExecutionStatus.WAITING)
    done = controls.resolve(invocation.ctx.rt, invocation.actor, open_run, path, choice, invocation.option("note"))
    return said(f"Noted for {code(done.id)}: {inline(choice)}.")


def replay(invocation: Invocation) -> Message:
    """`replay [RUN]`, from the start or from a step."""
    version = invocation.option("version").lower() or "same"
    if version not in ("same", "latest"):
        raise invocation.wrong(f"version=latest or version=same, not “{version[:40]}”.")
    run = the_run(invocation, *ENDED)
    old = executions.find(invocation.ctx.rt, run)
    new = replay_run.replay(
        invocation.ctx.rt,
        invocation.actor,
        run,
        start_from=invocation.option("from") or None,
        latest=version == "latest",
        reason=invocation.option("reason"),
    )
    where = f" Its card is where that of {code(old.id)} is." if (old.incident or {}).get("channel") else ""
    return said(f"Started {code(new.id)}: {code(f'{new.slug}@{new.number}')} once more.{where}{asks_again(new)}")


def hand_over(invocation: Invocation) -> Message:
    """`handover [RUN] @USER`."""
    (word,) = invocation.command.run[1]
    to = invocation.ctx.directory.identify(user(invocation, word))
    run = the_run(invocation)
    before = executions.find(invocation.ctx.rt, run).responsible
    done = handover.offer(invocation.ctx.rt, invocation.actor, run, to, invocation.option("reason"))
    if done.offered_to is not None:
        return said(
            f"{code(done.id)} is offered to {person(to.user_id)}, who is asked in its thread to take it over. Until "
            f"then it is {person(done.responsible)}'s."
        )
    if before == to.user_id:
        return said(f"The offer is taken back: {code(done.id)} stays with {person(before)}.")
    return taken_over(done)


def take_over(invocation: Invocation) -> Message:
    """`takeover [RUN]`."""
    return taken_over(handover.accept(invocation.ctx.rt, invocation.actor, the_run(invocation)))


def taken_over(run: ExecutionRecord) -> Message:
    """The word that a run is somebody's now."""
    return said(f"{code(run.id)} is yours now. You do not decide at its gates; votes that you gave there are void.")
