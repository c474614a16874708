"""The verbs that start runs, steer them, repair them and decide at their gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot import run_options
from bot.cli import kept_requests, plans, show
from bot.cli.connect import Refused
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Usage
from bot.cli.people_names import Names
from bot.grammar import BREAK_GLASS_ID, CHOICES
from bot.run_options import as_given
from engine.definition import parameters
from engine.definition.kinds import CONTAINERS, GATES
from storage.records import Json

_STARTED = {"started": "Started", "open": "It is running already:", "reused": "It was done lately:"}


def run(invocation: Invocation) -> Answer:
    """`run ID[@VERSION] [KEY=VALUE …]`."""
    slug, number = invocation.command.target
    schema = invocation.api.get(f"runbooks/{slug}")["parameters"]
    asked = run_options.read(invocation.command, schema)
    body: dict[str, Json] = {
        "version": number, "reason": asked.reason, "force": asked.force, "reuse_within_ms": asked.reuse_within_ms,
        "parameters": parameters.coerce(schema, asked.given),
    }  # fmt: skip
    if invocation.options.channel:
        body["incident"] = {"channel": invocation.options.channel}
    if asked.keep:
        return kept_requests.keep(invocation, asked.keep, slug, body)
    if asked.plan is not None:
        body["plan_digest"] = asked.plan
    try:
        begun = invocation.api.post(f"runbooks/{slug}/execute", body)
    except Refused as refusal:
        return plans.changed(refusal)
    new, names = begun["execution"], Names(begun)
    said = f"{_STARTED[begun['how']]} {new['id']} ({new['runbook']}@{new['version']})."
    return Answer(begun, [said, *(f"  ! {names.in_sentence(each)}" for each in begun.get("warnings", ()))], new["id"])


def pause(invocation: Invocation) -> Answer:
    """`pause [RUN]`."""
    return _steered(invocation, "pause", {"reason": invocation.option("reason")}, "RUNNING", "WAITING")


def resume(invocation: Invocation) -> Answer:
    """`resume [RUN]`."""
    return _steered(invocation, "resume", {"reason": invocation.option("reason")}, "PAUSED")


def cancel(invocation: Invocation) -> Answer:
    """`cancel [RUN]`; with force=yes its cleanup ends too."""
    return _steered(
        invocation, "cancel", {"reason": invocation.option("reason"), "force": invocation.command.says_yes("force")}
    )


def replay(invocation: Invocation) -> Answer:
    """`replay RUN`, from the start or from a step."""
    version = invocation.option("version").lower() or "same"
    if version not in ("same", "latest"):
        raise invocation.wrong(f"version=latest or version=same, not “{version[:40]}”.")
    body = {
        "from_step": invocation.option("from") or None,
        "latest": version == "latest",
        "reason": invocation.option("reason"),
    }
    found, rest = invocation.ended_run()
    begun = _steer(invocation, found, rest, "replay", body)
    return replace(begun, lines=[*begun.lines, *show.asks_again(begun.data)])


def hand_over(invocation: Invocation) -> Answer:
    """`handover [RUN] @USER`."""
    found, rest = invocation.run()
    if len(rest) != 1:
        raise invocation.wrong("Say to whom.")
    done = invocation.api.post(
        f"executions/{found}/handover", {"to": invocation.user(rest[0]), "reason": invocation.option("reason")}
    )
    whose = show.offered(done) if done["offered_to"] else f"it is {Names(done)(done['owner'])}'s"
    return Answer(done, [show.headline(done), f"  {whose}"], done["id"])


def take_over(invocation: Invocation) -> Answer:
    """`takeover [RUN]`."""
    return _steered(invocation, "handover/accept", {})


def _steered(invocation: Invocation, what: str, body: Json, *statuses: str) -> Answer:
    found, rest = invocation.run(*statuses)
    return _steer(invocation, found, rest, what, body)


def _steer(invocation: Invocation, found: str, rest: Sequence[str], what: str, body: Json) -> Answer:
    if rest:
        raise invocation.wrong(f"“{rest[0][:40]}” is not a run's id, such as R-7K2M9Q.")
    done = invocation.api.post(f"executions/{found}/{what}", body)
    return Answer(done, [show.headline(done)], done["id"])


def retry(invocation: Invocation) -> Answer:
    """`retry [RUN] [STEP] [KEY=VALUE …]`."""
    found, rest = invocation.ended_run("FAILED")
    slug = invocation.api.get(f"executions/{found}")["runbook"]
    schema = invocation.api.get(f"runbooks/{slug}")["parameters"]
    given, reason = as_given(schema, invocation.command.options)
    body = {"parameters": parameters.coerce(schema, given) if given else None, "reason": reason}
    done = _after_try(invocation, found, rest[0] if rest else None, "retry", _failed, body)
    return replace(done, lines=[*done.lines, *show.asks_again(done.data)])


def skip(invocation: Invocation) -> Answer:
    """`skip [RUN] STEP`."""
    found, rest = invocation.run()
    if not rest:
        raise invocation.wrong("Say which step.")
    done = invocation.api.post(f"executions/{found}/steps/{rest[0]}/skip", {"reason": invocation.option("reason")})
    return _skipped(invocation, found, rest[0], done)


def agree(invocation: Invocation) -> Answer:
    """`agree [RUN|BREAK_GLASS] [STEP]`; a request that was made anew meanwhile is not agreed to."""
    if invocation.command.words and BREAK_GLASS_ID.fullmatch(invocation.command.words[0]):
        return kept_requests.agree(invocation)
    found, rest = invocation.run()
    path = rest[0] if rest else _the_step(invocation, found, "agree to skipping", _asked)
    asked = invocation.api.get(f"executions/{found}/steps/{path}")["skip"]
    body = {"asked_at": asked["at"]} if asked else {}
    return _skipped(invocation, found, path, invocation.api.post(f"executions/{found}/steps/{path}/skip/agree", body))


def _skipped(invocation: Invocation, found: str, path: str, done: Json) -> Answer:
    step = invocation.api.get(f"executions/{found}/steps/{path}")
    return Answer(done, [show.headline(done), f"  {show.skip_words(step, found)}"], found)


def resolve(invocation: Invocation) -> Answer:
    """`resolve [RUN] [STEP] retry|done|failed`."""
    found, rest = invocation.run("WAITING")
    choice = rest[-1].lower()
    assert choice in CHOICES
    body = {"choice": choice, "note": invocation.option("note")}
    return _after_try(invocation, found, rest[0] if len(rest) > 1 else None, "resolve", _unknown, body)


def gate(what: str) -> Callable[[Invocation], Answer]:
    """`approve`, `reject` or `withdraw`, each `[RUN] [STEP]`; a vote is for what is shown, on a terminal before it."""

    def act(invocation: Invocation) -> Answer:
        found, rest = invocation.run("WAITING")
        path = rest[0] if rest else _the_step(invocation, found, what, _asks)
        if what == "withdraw":
            return _at_step(invocation, found, path, what, _asks, {})
        shown = _open_gate(invocation, found, path)
        lines = show.gate_in_full(shown) if shown else []
        if shown and not invocation.sure(lines, f"{what.capitalize()} this?"):
            return Answer(shown, ["Nothing was decided."], found)
        given = {name: value for name, value in invocation.command.options.items() if name != "comment"}
        answers = parameters.coerce(shown["form"] or {}, given) if shown else given
        body = {
            "comment": invocation.option("comment"),
            "digest": shown["digest"] if shown else None,
            "answers": answers,
        }
        done = _at_step(invocation, found, path, what, _asks, body)
        return done if invocation.asks_first else replace(done, lines=[*lines, *done.lines])

    return act


def _open_gate(invocation: Invocation, found: str, path: str) -> Json:
    """The open gate at a path, None where there is none: what that means is for the API to say."""
    gates = invocation.api.get(f"executions/{found}")["gates"]
    return next((each for each in gates if each["step"] == path and each["status"] == "PENDING"), None)


def _after_try(
    invocation: Invocation, found: str, path: str | None, what: str, fits: Callable[[Json], bool], body: Json
) -> Answer:
    """As `_at_step`, as long as the step is not tried again meanwhile: what is said is said of its last try."""
    path = path or _the_step(invocation, found, what, fits)
    seen = invocation.api.get(f"executions/{found}/steps/{path}")["attempts"]
    return _at_step(invocation, found, path, what, fits, {**body, "attempt": seen})


def _at_step(
    invocation: Invocation, found: str, path: str | None, what: str, fits: Callable[[Json], bool], body: Json
) -> Answer:
    """Do something to a step; where none was named, to the only one that fits."""
    path = path or _the_step(invocation, found, what, fits)
    done = invocation.api.post(f"executions/{found}/steps/{path}/{what}", body)
    if "votes" in done:
        more = f" {done['missing']} more needed." if done["missing"] else ""
        return Answer(done, [f"{done['step']} of {found}: {done['status'].lower()}.{more}"], found)
    return Answer(done, [show.headline(done)], found)


def _the_step(invocation: Invocation, found: str, what: str, fits: Callable[[Json], bool]) -> str:
    paths = [each["step"] for each in invocation.api.get(f"executions/{found}")["steps"] if fits(each)]
    if len(paths) == 1:
        return str(paths[0])
    if not paths:
        raise Usage(f"{found} has no step to {what} now. `runbook status {found}` shows them all.")
    raise Usage(f"{found} has several steps to {what}: {', '.join(paths)}. Say which.")


def _asks(step: Json) -> bool:
    return bool(step["kind"] in GATES and step["status"] == "WAITING")


def _asked(step: Json) -> bool:
    return bool(
        step["skip"] and not step["skip"]["agreed"] and step["status"] not in ("SUCCESS", "SKIPPED", "CANCELLED")
    )


def _unknown(step: Json) -> bool:
    return bool(step["status"] == "UNKNOWN")


def _failed(step: Json) -> bool:
    return bool(step["status"] == "FAILED" and step["phase"] == "main" and step["kind"] not in CONTAINERS)
