"""What people ask for, in the words of Slack: each verb is one question to the API, and what is shown of its answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.cli import show
from bot.cli.connect import Api, Refused, Unreachable
from bot.cli.follow import follow
from bot.cli.options import Options, Usage
from bot.grammar import CHOICES, Command, GrammarError, verb
from engine.definition import parameters

Json = Any

DONE, FAILED, USAGE, REFUSED, STILL_OPEN, INTERRUPTED = 0, 1, 2, 3, 4, 130
_USAGE_CODES = {"invalid_parameters", "reason_required", "malformed", "invalid_definition"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was learned, for programs and for people. `follow` is the run that this began or let go on."""

    data: Json
    lines: Iterable[str]
    follow: Json = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One command, and whom to ask."""

    api: Api
    command: Command
    options: Options

    def option(self, name: str) -> str:
        """What was given as `name=…`, "" where it was not."""
        return self.command.options.get(name, "")

    def usage(self) -> str:
        return verb(self.command.verb).usage

    def run(self, *statuses: str) -> tuple[str, tuple[str, ...]]:
        """The run that was named and the words behind it; else the only open one that can be meant.

        That is one in the channel that `--channel` names, or else one's own; those in one of `statuses` come first.
        Raises `Usage` where that is not clear.
        """
        named, rest = self.command.run
        if named is not None:
            return named, rest
        where = {"channel": self.options.channel} if self.options.channel else {"requester": self.me()}
        found = self.api.all_of("executions", most=20, open=True, **where)
        fitting = [each for each in found if each["status"] in statuses] or found
        if len(fitting) == 1:
            return fitting[0]["id"], rest
        here = "in that channel" if self.options.channel else "that you started"
        if not fitting:
            raise Usage(f"No run {here} is open. Name one by its id, such as R-7K2M9Q; `runbook runs all` lists them.")
        raise Usage(f"Several runs {here} are open: {', '.join(each['id'] for each in fitting)}. Say which.")

    def me(self) -> str:
        """Whose token this is."""
        return str(self.api.get("tokens/current")["user_id"])


def answer(api: Api, command: Command, options: Options) -> int:
    """Ask, show the answer, follow the run where that is meant; the exit code. Raises `Refused`, `Unreachable`."""
    if command.verb not in _VERBS:
        raise Usage(f"“{command.verb}” works in Slack only.")
    found = _VERBS[command.verb](Ask(api, command, options))
    if found.follow is not None and _follows(command.verb, options):
        return _followed(api, found, options)
    _show(found, options)
    return DONE


def _follows(name: str, options: Options) -> bool:
    return options.wait if options.wait is not None else name in ("run", "retry", "replay")


def _show(found: Answer, options: Options) -> None:
    print(show.as_json(found.data) if options.json else show.safe(found.lines))


def _followed(api: Api, found: Answer, options: Options) -> int:
    run = api.get(f"executions/{found.follow['id']}")
    if not options.json:
        print(show.safe(found.lines), flush=True)
    try:
        run = follow(api, run, options.timeout_s, quiet=options.json)
    except KeyboardInterrupt:
        _say(f"{run['id']} goes on without you.", *_how_to_go_on(run))
        return INTERRUPTED
    if options.json:
        print(show.as_json(run))
    if show.ended(run):
        return DONE if run["status"] == "SUCCESS" else FAILED
    _say(f"{run['id']} is still open: {show.run_words(run)}.", *_how_to_go_on(run))
    return STILL_OPEN


def _how_to_go_on(run: Json) -> list[str]:
    return [f"`runbook status {run['id']} --wait` follows it again, `runbook cancel {run['id']}` ends it."]


def refused(error: Refused, options: Options) -> int:
    """Say what the API refused, and which exit code that is."""
    if options.json:
        print(show.as_json(error.problem))
    elif error.fields:
        _say(*(f"{name}: {why}" if name else why for name, why in error.fields.items()))
    else:
        _say(str(error))
    if error.status >= 500:
        return FAILED
    return USAGE if error.code in _USAGE_CODES else REFUSED


def _say(*sentences: str) -> None:
    print(show.safe(f"runbook: {sentence}" for sentence in sentences), file=sys.stderr)


def _list(ask: Ask) -> Answer:
    found = ask.api.all_of("runbooks", text=" ".join(ask.command.words), tag=ask.option("tag") or None)
    return Answer(found, show.runbooks_lines(found))


def _runs(ask: Ask) -> Answer:
    which = (ask.command.words or ("here" if ask.options.channel else "all",))[0].lower()
    if which not in ("here", "mine", "open", "all"):
        raise GrammarError(f"“{which[:40]}” is not one of here, mine, open, all.", ask.usage())
    if which == "here" and not ask.options.channel:
        raise Usage("There is no channel here: name one with --channel, or say mine, open or all.")
    narrowed: dict[str, Json] = {
        "here": {"channel": ask.options.channel},
        "mine": {"requester": ask.me() if which == "mine" else None},
        "open": {"open": True},
        "all": {},
    }
    found = ask.api.all_of("executions", most=20, limit=20, **narrowed[which])
    return Answer(found, show.runs_lines(found))


def _run(ask: Ask) -> Answer:
    slug, number = ask.command.target
    schema = ask.api.get(f"runbooks/{slug}")["parameters"]
    given, reason = _as_given(schema, ask.command.options)
    force = "force" in given and "force" not in schema.get("properties", {})
    if force:
        given.pop("force")
        force = ask.command.says_yes("force")
    incident = {"channel": ask.options.channel} if ask.options.channel else None
    body = {"parameters": parameters.coerce(schema, given), "reason": reason, "force": force, "incident": incident}
    started = ask.api.post(f"runbooks/{slug}/execute", {**body, "version": number})
    run = started["execution"]
    words = {"started": "Started", "open": "It is running already:", "reused": "It was done lately:"}[started["how"]]
    return Answer(started, [f"{words} {run['id']} ({run['runbook']}@{run['version']})."], run)


def _as_given(schema: Json, options: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The parameters and the reason; a parameter that is itself called reason gets the same text."""
    named = schema.get("properties", {})
    given = {name: value for name, value in options.items() if name != "reason" or name in named}
    return given, options.get("reason", "").strip()


def _status(ask: Ask) -> Answer:
    named, _ = ask.command.run
    if named is None and not ask.options.wait:
        where = {"channel": ask.options.channel} if ask.options.channel else {"requester": ask.me()}
        found = ask.api.all_of("executions", most=20, open=True, **where)
        if len(found) != 1:
            return Answer(found, show.runs_lines(found))
        named = found[0]["id"]
    run = ask.api.get(f"executions/{named or ask.run()[0]}")
    return Answer(run, show.run_lines(run) if not ask.options.wait else [], run)


def _why(ask: Ask) -> Answer:
    run, _ = ask.run()
    found = ask.api.get(f"executions/{run}/why")
    return Answer(found, show.reason_lines(found))


def _steered(ask: Ask, what: str, body: Json, *statuses: str) -> Answer:
    run, _ = ask.run(*statuses)
    done = ask.api.post(f"executions/{run}/{what}", body)
    return Answer(done, [show.headline(done)], done)


def _pause(ask: Ask) -> Answer:
    return _steered(ask, "pause", {"reason": ask.option("reason")}, "RUNNING", "WAITING")


def _resume(ask: Ask) -> Answer:
    return _steered(ask, "resume", {"reason": ask.option("reason")}, "PAUSED")


def _cancel(ask: Ask) -> Answer:
    return _steered(ask, "cancel", {"reason": ask.option("reason"), "force": ask.command.says_yes("force")})


def _replay(ask: Ask) -> Answer:
    version = ask.option("version").lower() or "same"
    if version not in ("same", "latest"):
        raise GrammarError(f"version=latest or version=same, not “{version[:40]}”.", ask.usage())
    body = {"from_step": ask.option("from") or None, "latest": version == "latest", "reason": ask.option("reason")}
    return _steered(ask, "replay", body)


def _at_step(ask: Ask, run: str, path: str | None, what: str, wanted: str, body: Json) -> Answer:
    """Do something to a step; where none was named, to the only one whose status or gate is `wanted`."""
    path = path or _the_step(ask, run, what, wanted)
    done = ask.api.post(f"executions/{run}/steps/{path}/{what}", body)
    if "votes" in done:
        return Answer(done, _voted(run, done), {"id": run})
    return Answer(done, [show.headline(done)], done)


def _the_step(ask: Ask, run: str, what: str, wanted: str) -> str:
    steps = ask.api.get(f"executions/{run}")["steps"]
    found = [each["step"] for each in steps if _is(each, wanted)]
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise Usage(f"{run} has no step to {what} now. `runbook status {run}` shows them all.")
    raise Usage(f"{run} has several steps to {what}: {', '.join(found)}. Say which.")


def _is(step: Json, wanted: str) -> bool:
    if wanted == "gate":
        return step["kind"] == "approval" and step["status"] == "WAITING"
    holds = wanted == "FAILED" and step["kind"] in ("branch", "loop")
    return bool(step["status"] == wanted and step["phase"] == "main" and not holds)


def _voted(run: str, gate: Json) -> list[str]:
    more = f" {gate['missing']} more needed." if gate["missing"] else ""
    return [f"{gate['step']} of {run}: {gate['status'].lower()}.{more}"]


def _retry(ask: Ask) -> Answer:
    run, rest = ask.run()
    found = ask.api.get(f"executions/{run}")
    schema = ask.api.get(f"runbooks/{found['runbook']}")["parameters"]
    given, reason = _as_given(schema, ask.command.options)
    values = parameters.coerce(schema, given) if given else None
    path = rest[0] if rest else None
    return _at_step(ask, run, path, "retry", "FAILED", {"parameters": values, "reason": reason})


def _skip(ask: Ask) -> Answer:
    run, rest = ask.run()
    return _at_step(ask, run, rest[0] if rest else None, "skip", "UNKNOWN", {"reason": ask.option("reason")})


def _resolve(ask: Ask) -> Answer:
    run, rest = ask.run("WAITING")
    choice = rest[-1].lower()
    assert choice in CHOICES
    body = {"choice": choice, "note": ask.option("note")}
    return _at_step(ask, run, rest[0] if len(rest) > 1 else None, "resolve", "UNKNOWN", body)


def _gate(what: str) -> Callable[[Ask], Answer]:
    def act(ask: Ask) -> Answer:
        run, rest = ask.run("WAITING")
        body = {} if what == "withdraw" else {"comment": ask.option("comment")}
        return _at_step(ask, run, rest[0] if rest else None, what, "gate", body)

    return act


def _evidence(ask: Ask) -> Answer:
    run, _ = ask.run()
    found = ask.api.get(f"executions/{run}/evidence")
    return Answer(found, show.as_json(found).splitlines())


_VERBS: Mapping[str, Callable[[Ask], Answer]] = {
    "list": _list,
    "run": _run,
    "runs": _runs,
    "status": _status,
    "why": _why,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "replay": _replay,
    "retry": _retry,
    "skip": _skip,
    "resolve": _resolve,
    "approve": _gate("approve"),
    "reject": _gate("reject"),
    "withdraw": _gate("withdraw"),
    "evidence": _evidence,
}
__all__ = ["Unreachable", "answer", "refused"]
