"""`plan`, and runs that are to be exactly what was planned."""

from __future__ import annotations

from bot import plan_text, run_options
from bot.cli.connect import Api, Refused, Unreachable
from bot.cli.invocation import Answer, Invocation
from bot.cli.people_names import Names
from bot.typed_hints import typed_here
from engine.definition import parameters
from storage.records import Json


def plan(invocation: Invocation) -> Answer:
    """`plan ID[@VERSION] [KEY=VALUE …] [live=yes]`."""
    slug, number = invocation.command.target
    schema = invocation.api.get(f"runbooks/{slug}")["parameters"]
    given, reason, live = run_options.read_plan(invocation.command, schema)
    body: dict[str, Json] = {"version": number, "reason": reason, "live": live}
    body["parameters"] = parameters.coerce(schema, given)
    if invocation.options.channel:
        body["incident"] = {"channel": invocation.options.channel}
    found = _made(invocation.api, f"runbooks/{slug}/plan", body)
    return Answer(found, _lines(found))


def _made(api: Api, path: str, body: Json) -> Json:
    """The plan; a live one that gets no answer is not asked for again, since its calls may have been made."""
    if not body["live"]:
        return api.look(path, body)
    try:
        return api.look_once(path, body)
    except Unreachable as error:
        unknown = "Whether the calls in check mode were made is not known; to ask for the plan again makes them again."
        raise Unreachable(f"{error}. {unknown}") from error


def changed(refusal: Refused) -> Answer:
    """What differs from what was planned, and what would be done now. Raises any other refusal again."""
    if refusal.code != "plan_changed":
        raise refusal
    now = refusal.problem["plan"]
    return Answer(refusal.problem, [str(refusal), "", *_lines(now)], failed=True)


def _lines(found: Json) -> list[str]:
    names = Names(found)
    why = [{**each, "why": typed_here(each["why"], "runbook")} for each in found["obstacles"]]
    told = [names.in_sentence(each) for each in plan_text.lines({**found, "obstacles": why})]
    return [*told, f"To run exactly this: runbook run {found['runbook']} … plan={found['digest']}"]
