"""The doors offer the same deeds and refuse the same people: Slack, the REST operations, the command line."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import Any

import httpx
import pytest
from stage import ALICE, BOB, CAROL, CHANNEL, DAVE, OSCAR, Stage, wait_for

from bot.cli import connect, people
from bot.cli.options import Options
from bot.grammar import parse
from bot.verbs import VERBS
from engine.access import tokens
from engine.access.policy import SYSTEM

RUN, RUNBOOK, INCIDENT = "/executions/{execution}", "/runbooks/{runbook}", "/incidents/{incident}"
DOORS: dict[str, set[str]] = {
    "help": set(),
    "list": {"GET /runbooks"},
    "show": {f"GET {RUNBOOK}", f"GET {RUNBOOK}/versions/{{version}}"},
    "diff": {f"GET {RUNBOOK}/diff"},
    "plan": {f"POST {RUNBOOK}/plan"},
    "studio": set(),
    "run": {
        f"POST {RUNBOOK}/execute",
        f"GET {RUNBOOK}/parameters/{{name}}/options",
        "POST /executions",
        "POST /held-requests",
        "POST /break-glass",
    },
    "status": {f"GET {RUN}", f"GET {RUN}/steps", f"GET {RUN}/steps/{{step}}", f"GET {RUN}/events"},
    "why": {f"GET {RUN}/why"},
    "runs": {"GET /executions", f"GET {RUNBOOK}/executions"},
    "catchup": {f"GET {INCIDENT}/story"},
    "logs": {f"GET {RUN}/logs"},
    "evidence": {f"GET {RUN}/evidence"},
    "can": {"GET /can"},
    "pause": {f"POST {RUN}/pause"},
    "resume": {f"POST {RUN}/resume"},
    "cancel": {f"POST {RUN}/cancel"},
    "retry": {f"POST {RUN}/steps/{{step}}/retry"},
    "skip": {f"POST {RUN}/steps/{{step}}/skip"},
    "agree": {f"POST {RUN}/steps/{{step}}/skip/agree", "POST /break-glass/{asked}/agree"},
    "resolve": {f"POST {RUN}/steps/{{step}}/resolve"},
    "done": {f"POST {RUN}/steps/{{step}}/done"},
    "could-not": {f"POST {RUN}/steps/{{step}}/could-not"},
    "replay": {f"POST {RUN}/replay"},
    "handover": {f"POST {RUN}/handover"},
    "takeover": {f"POST {RUN}/handover/accept"},
    "approve": {f"POST {RUN}/steps/{{step}}/approve"},
    "reject": {f"POST {RUN}/steps/{{step}}/reject"},
    "withdraw": {f"POST {RUN}/steps/{{step}}/withdraw"},
    "token": {"GET /tokens", "GET /tokens/{token}", "DELETE /tokens/{token}", "GET /tokens/current"},
    "incident": {"GET /incidents", f"GET {INCIDENT}"},
    "incident open": {"POST /incidents"},
    "incident set": {f"PATCH {INCIDENT}"},
    "incident close": {f"POST {INCIDENT}/close"},
    "freeze": {"POST /freezes"},
    "unfreeze": {"POST /freezes/{freeze}/lift"},
    "freezes": {"GET /freezes", "GET /freezes/{freeze}", "GET /freezes/upcoming"},
    "held": {"GET /held-requests", "DELETE /held-requests/{held}"},
    "release": {"POST /held-requests/{held}/release"},
    "reviews": {"GET /break-glass", "GET /break-glass/{asked}"},
    "review": {"POST /break-glass/{asked}/review"},
    "secret list": {"GET /secrets", "GET /secrets/{secret}/versions"},
    "secret set": {"PUT /secrets/{secret}"},
    "secret delete": {"DELETE /secrets/{secret}"},
    "secret rotate-keys": {"POST /secrets/rotate-keys"},
    "audit": {"GET /audit"},
    "audit export": {"GET /audit/export"},
    "report": {"GET /reports/compliance"},
    "admin sync": {"POST /sync"},
    "admin approve": {f"POST {RUNBOOK}/approve"},
    "admin renew": {f"POST {RUNBOOK}/renew", "GET /renewals"},
    "admin withdraw": {f"POST {RUNBOOK}/withdraw"},
    "admin deprecate": {f"POST {RUNBOOK}/deprecate"},
    "admin rollback": {f"POST {RUNBOOK}/rollback"},
    "admin history": {f"GET {RUNBOOK}/versions", "GET /audit"},
    "admin verify": {"GET /audit/chain"},
}
REST_ONLY = {"POST /runbooks", f"PUT {RUNBOOK}", f"PATCH {RUNBOOK}", f"DELETE {RUNBOOK}"}
"""Runbooks that live in the database are written by programs; for people there are files."""
PEOPLE = (OSCAR, CAROL, BOB, ALICE)
NO = re.compile(
    r"You have no such role|another platform admin has to|others have to decide|may decide this|is your own|"
    r"You asked for this yourself"
)
NOT_NOW = re.compile(r"Nobody asks|is not offered to you|not what you were shown|has ended already|is approved already")
GUARDED = """
apiVersion: runbook/v1
id: guarded
name: Behind a gate
team: payments
parameters: {type: object, properties: {n: {type: integer, default: 1}}}
steps:
  - {id: ok, type: approval, with: {approvers: {roles: [platform_admin]}, message: Go?}}
  - {id: backup, type: http, with: {url: "TARGET/hosts/health/nothing"}}
"""


class Rest:
    """The REST API of the bot that is in Slack, asked by the same people."""

    def __init__(self, bot: Stage) -> None:
        self._bot = bot
        base = f"{bot.url}/api/v1"
        self.client = httpx.Client(base_url=base, trust_env=False, timeout=20)
        self._secrets: dict[str, str] = {}

    def __call__(self, operation: str, who: str, body: Any = None) -> httpx.Response:
        method, _, path = operation.partition(" ")
        headers = {"Authorization": f"Bearer {self.secret(who)}"}
        return self.client.request(method, path, json=body, headers=headers)

    def secret(self, who: str) -> str:
        if who not in self._secrets:
            all_scopes = "read,run,approve,admin"
            _, self._secrets[who] = tokens.create(self._bot.rt, SYSTEM, "doors", scopes=all_scopes, person=who)
        return self._secrets[who]

    def typed(self, words: str, who: str) -> int:
        """The status with which the command line's words are answered, 200 where nothing is refused."""
        with connect.to_server(self._bot.url, self.secret(who)) as api, redirect_stdout(io.StringIO()):
            try:
                people.answer(api, parse(words), Options(wait=False, channel=CHANNEL))
            except connect.Refused as error:
                return error.status
        return 200


@pytest.fixture
def rest(bot: Stage) -> Any:
    made = Rest(bot)
    yield made
    made.client.close()


def test_what_one_door_offers_the_others_offer(rest: Rest) -> None:
    """A new verb or operation has to find its counterpart here."""
    document = rest.client.get("/openapi.json").json()
    assert set(DOORS) - {"help"} == set(people.VERBS)
    offered = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    assert set(DOORS) == {verb.name for verb in VERBS}
    assert set().union(*DOORS.values()) | REST_ONLY == offered


@pytest.mark.slow
def test_all_doors_refuse_the_same(bot: Stage, rest: Rest) -> None:
    """Each deed is tried by everybody at every door, those first who may not: refused here, refused there.

    Over REST a run of another team is not there (404), which Slack shows to everybody and lets nobody of them touch.
    """
    run = bot.start('run careful reason="doors"', DAVE)
    wait_for(lambda: rest(f"GET /executions/{run}", ALICE).json()["status"] == "WAITING")
    at = f"POST /executions/{run}"
    deeds: list[tuple[str, str, Any]] = [
        ("run drain service=basket", "POST /runbooks/drain/execute", {"parameters": {"service": "basket"}}),
        (f"pause {run}", f"{at}/pause", {}),
        (f"resume {run}", f"{at}/resume", {}),
        (f'skip {run} restart reason="x"', f"{at}/steps/restart/skip", {"reason": "x"}),
        (f"retry {run} restart", f"{at}/steps/restart/retry", {}),
        (f'resolve {run} restart done note="x"', f"{at}/steps/restart/resolve", {"choice": "done", "note": "x"}),
        (f"replay {run}", f"{at}/replay", {}),
        (f"approve {run} sign-off", f"{at}/steps/sign-off/approve", {}),
        (f'reject {run} sign-off comment="x"', f"{at}/steps/sign-off/reject", {"comment": "x"}),
        (f"handover {run} {BOB}", f"{at}/handover", {"to": BOB}),
        (f"takeover {run}", f"{at}/handover/accept", None),
        (f"cancel {run}", f"{at}/cancel", {}),
        ("admin sync", "POST /sync", None),
        ("admin approve drain@1", "POST /runbooks/drain/approve", {"version": 1}),
        ("admin verify", "GET /audit/chain", None),
        ("incident open", "POST /incidents", {"channel": CHANNEL}),
        ('admin deprecate drain@1 reason="x"', "POST /runbooks/drain/deprecate", {"version": 1, "reason": "x"}),
        ("admin rollback drain", "POST /runbooks/drain/rollback", None),
    ]
    differ = []
    for words, operation, body in deeds:
        for who in PEOPLE:
            said, answer = bot.say(words, who), rest(operation, who, body)
            assert answer.status_code < 500
            refused = answer.status_code in (403, 404)
            typed = rest.typed(words, who)
            if not bool(NO.search(said)) == refused == (typed in (403, 404)):
                differ.append((words, who, said, answer.status_code, answer.text, typed))
    assert differ == []
    bot.say("admin approve drain@1", ALICE)


def came_of(bot: Stage, rest: Rest, door: str, deed: tuple[str, str, Any], who: str) -> str:
    """What somebody's deed comes to at a door: done, refused, or not possible as things are."""
    words, operation, body = deed
    if door == "slack":
        said = bot.say(words, who)
        return "refused" if NO.search(said) else "not now" if NOT_NOW.search(said) else "done"
    status = rest(operation, who, body).status_code if door == "rest" else rest.typed(words, who)
    return {200: "done", 403: "refused", 404: "refused", 409: "not now"}[status]


def test_a_skip_is_agreed_to_and_a_run_taken_over_alike_at_every_door(bot: Stage, rest: Rest) -> None:
    """The same people get the same answer, one after the other, whichever door they come by."""
    books = bot.rt.settings.runbooks_dir
    (books / "guarded.yaml").write_text(GUARDED.replace("TARGET", str(bot.sim.target_url)))
    bot.say("admin sync", ALICE)
    assert "is approved" in bot.say("admin approve guarded@1", ALICE)
    for number, door in enumerate(("slack", "rest", "cli")):
        run = bot.start(f"run guarded n={number}")
        state = lambda run=run: rest(f"GET /executions/{run}", ALICE).json()["status"]  # noqa: E731
        wait_for(lambda state=state: state() == "WAITING")
        at = f"POST /executions/{run}"
        offer = (f"handover {run} {BOB}", f"{at}/handover", {"to": BOB})
        take = (f"takeover {run}", f"{at}/handover/accept", None)
        vote = (f"approve {run} ok", f"{at}/steps/ok/approve", {})
        skip = (f"skip {run} backup reason=x", f"{at}/steps/backup/skip", {"reason": "x"})
        agree = (f"agree {run} backup", f"{at}/steps/backup/skip/agree", {})
        story = [
            (offer, OSCAR, "refused"), (take, BOB, "not now"), (offer, CAROL, "done"), (take, ALICE, "not now"),
            (take, OSCAR, "refused"), (take, BOB, "done"), (take, BOB, "not now"), (vote, BOB, "refused"),
            (vote, CAROL, "refused"), (vote, ALICE, "done"), (None, "", "FAILED"), (agree, DAVE, "not now"),
            (skip, OSCAR, "refused"), (skip, DAVE, "done"), (agree, DAVE, "refused"), (agree, BOB, "refused"),
            (agree, CAROL, "refused"), (agree, OSCAR, "refused"), (agree, ALICE, "done"), (agree, ALICE, "not now"),
            (None, "", "SUCCESS"), (offer, BOB, "not now"),
        ]  # fmt: skip
        for place, (deed, who, expected) in enumerate(story):
            if deed is None:
                wait_for(lambda state=state, expected=expected: state() == expected)
            else:
                assert came_of(bot, rest, door, deed, who) == expected, (door, place, deed[0], who)
