"""Manual steps on the command line: saying what came of one."""

from __future__ import annotations

from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Usage
from engine.definition import parameters
from storage.records import Json


def done(invocation: Invocation) -> Answer:
    """`done [RUN] [STEP] [KEY=VALUE …]`."""
    found, task = _the_task(invocation)
    given = {name: value for name, value in invocation.command.options.items() if name != "note"}
    body = {"note": invocation.option("note"), "answers": parameters.coerce(task["form"], given), "task": task["id"]}
    return _said(invocation, found, task, "done", body)


def could_not(invocation: Invocation) -> Answer:
    """`could-not [RUN] [STEP]`."""
    found, task = _the_task(invocation)
    return _said(invocation, found, task, "could-not", {"note": invocation.option("note"), "task": task["id"]})


def _said(invocation: Invocation, found: str, task: Json, what: str, body: Json) -> Answer:
    ended = invocation.api.post(f"executions/{found}/steps/{task['step']}/{what}", body)
    did = "is done" if ended["status"] == "DONE" else "could not be done"
    return Answer(ended, [f"{ended['step']} of {found} {did}."], found)


def _the_task(invocation: Invocation) -> tuple[str, Json]:
    """The run, and the task that is meant: the open one at the step that was named, else the only open one."""
    found, rest = invocation.run("WAITING")
    tasks = invocation.api.get(f"executions/{found}")["tasks"]
    known = [each for each in tasks if not rest or each["step"] == rest[0]]
    waiting = [each for each in known if each["status"] == "OPEN"]
    if len(waiting) > 1:
        names = ", ".join(each["step"] for each in waiting)
        raise Usage(f"{found} has several steps to be done by hand: {names}. Say which.")
    if waiting:
        return found, waiting[0]
    if known:  # what became of it is for the API to say
        return found, known[-1]
    which = f" {rest[0]}" if rest else ""
    raise Usage(f"{found} has no step{which} waiting to be done by hand. `runbook status {found}` shows them all.")
