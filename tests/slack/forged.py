"""A bot with one of everything that a button or form can be about, and signed requests that say what they like."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from stage import ALICE, CAROL, CHANNEL, DAVE, OSCAR, Stage, ready_with, stage, wait_for

from bot.simulator.delivery import payloads
from bot.simulator.delivery.signing import signed_headers
from bot.simulator.directory import CHANNELS
from bot.slack.reply import Reply
from engine.access.policy import SYSTEM
from engine.catalog import sync
from engine.orchestration import incidents
from engine.runs import executions, form_drafts, held_requests
from engine.runs.form_drafts import Draft
from storage import database
from storage.tables import ALL, RunbookVersion

RESPONDER, GONE, OUTSIDER = "U0BOB0001", "U0GONE001", OSCAR
ACCESS = f"""
platform_admins: [S0PLATFORM, {GONE}]
responders: [{RESPONDER}]
teams:
  payments: {{admins: [{CAROL}], members: []}}
"""
_GATE = "{id: ok, type: approval, with: {approvers: {roles: [platform_admin]}, message: Go?}}"
_PARKED = "steps:\n  - {id: hear, type: wait, with: {key: 'SLUG-{{ execution.id }}'}}\n"
_SAYS = "steps:\n  - {id: say, type: message, with: {text: Hello}}\n"
BOOKS = {
    **{slug: _PARKED.replace("SLUG", slug) for slug in ("parked", "ends", "picked", "skips", "offered", "asked")},
    "pick": """\
steps:
  - id: ask
    type: approval
    with:
      approvers: {roles: [platform_admin]}
      form: {type: object, required: [region], properties: {region: {type: string, enum: [eu, us]}}}
""",
    "swap": """\
steps:
  - id: swap
    type: manual
    with:
      instructions: Swap the disk.
      form: {type: object, required: [slot], properties: {slot: {type: integer}}}
""",
    "lost": "steps:\n  - {id: send, type: http, timeout: 1s, with: {method: POST, url: TARGET/hosts/restart/basket}}\n",
    "fails": "steps:\n  - {id: call, type: http, with: {url: TARGET/no-such-page}}\n",
    "guarded": f"steps:\n  - {_GATE}\n  - {{id: backup, type: http, with: {{url: TARGET/no-such-page}}}}\n",
    "note": "parameters: {type: object, required: [shop], properties: {shop: {type: string}}}\n" + _SAYS,
    "old": _SAYS,
    "older": _SAYS,
    "twice": _SAYS,
    "again": _SAYS,
    "gone": _SAYS,
    "lapsed": _SAYS,
}
DRAFTS = {"fresh": "", "other": "", "half": "risk: high\n", "halves": "risk: high\n"}
_OF_PROCESSES = {"worker", "lease", "host_clock", "probe", "person", "person_address", "user_group"}
"""Tables in which processes keep what they know of themselves and of Slack."""
_OF_REQUESTS = {"request_seen", "idempotency", "answer"}
"""Tables that say which request came already."""
_SEALED_LATER = {"seq", "hash", "tag", "mac", "mac_key"}
"""What an audit row is given by a sweeper, in its own time."""


class World:
    """What there is: `runs` has two of each kind, the second for values that are about another one."""

    def __init__(self, bot: Stage) -> None:
        self.bot = bot
        self.runs: dict[str, tuple[str, str]] = {}
        self.held: tuple[str, ...] = ()
        self.emergencies: tuple[str, ...] = ()
        self.incident = 0
        self.draft = 0
        self.outcomes: list[BaseException | None] = []
        self._http = httpx.Client(trust_env=False, timeout=20)
        self._quiet, self._busy = threading.Condition(), 0

    def gate(self, kind: str, n: int) -> Any:
        return executions.view(self.bot.rt, self.runs[kind][n]).gates[0].approval

    def task(self, n: int) -> Any:
        return executions.view(self.bot.rt, self.runs["swap"][n]).tasks[0]

    def skip_asked_at(self, n: int) -> int:
        steps = executions.view(self.bot.rt, self.runs["guarded"][n]).steps
        return next(int(each.skip["at"]) for each in steps if each.path == "backup" and each.skip)

    def send(self, payload: dict[str, Any]) -> tuple[dict[str, Any], list[BaseException | None]]:
        """The answer to a signed request, and what came of the work that was handed over, once it is done."""
        self.outcomes.clear()
        body = urlencode({"payload": json.dumps(payload)}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        signed = signed_headers(self.bot.sim.config.signing_secret, body)
        answer = self._http.post(f"{self.bot.url}/slack/events", content=body, headers={**signed, **kind})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        with self._quiet:
            assert self._quiet.wait_for(lambda: not self._busy, 15), "what was handed over is not done"
        return (answer.json() if answer.content else {}), list(self.outcomes)

    def close(self) -> None:
        self._http.close()

    def watch(self) -> None:
        """Note what becomes of everything that is handed over from here on."""
        ctx = self.bot.door.ctx
        given, done = ctx.run_in_background, ctx._do

        def handed_over(key: str | None, reply: Reply, work: Any) -> None:
            def noted(reply: Reply) -> None:
                try:
                    work(reply)
                except BaseException as error:
                    self.outcomes.append(error)
                    raise
                self.outcomes.append(None)

            with self._quiet:
                self._busy += 1
            given(key, reply, noted)

        def doing(key: str | None, reply: Reply, work: Any) -> None:
            try:
                done(key, reply, work)
            finally:
                with self._quiet:
                    self._busy -= 1
                    self._quiet.notify_all()

        ctx.run_in_background, ctx._do = handed_over, doing  # type: ignore[method-assign]

    def click(self, user: str, action: str, value: str, *, modal: str = "", metadata: str = "") -> dict[str, Any]:
        """A press, in a message of the channel or in the modal of that id, which carries `metadata`."""
        pressed = {"type": "button", "action_id": action, "block_id": "b", "value": value}
        message: Any = {"ts": "1.1", "blocks": [], "text": ""}
        view: Any = {"id": modal, "type": "modal", "private_metadata": metadata, "state": {"values": {}}}
        made: dict[str, Any] = (
            payloads.view_action(user, view, pressed)
            if modal
            else payloads.message_action(user, CHANNELS[CHANNEL], message, pressed, {}, ephemeral=False)
        )
        return made | {"trigger_id": self.bot.sim.workspace.tickets.new_trigger(user)}

    def submit(self, user: str, form: str, metadata: str, values: Any) -> dict[str, Any]:
        """A form that is sent in."""
        view = {"id": "V1", "type": "modal", "callback_id": form, "private_metadata": metadata}
        return payloads.view_submission(user, {**view, "state": {"values": values}})


def rows() -> dict[str, list[str]]:
    """Every row of every table, but for what processes and requests leave whatever comes of them."""
    with database.reading():
        return {
            table._meta.table_name: sorted(_texts(table))
            for table in ALL
            if table._meta.table_name not in _OF_PROCESSES | _OF_REQUESTS
        }


def _texts(table: Any) -> Iterator[str]:
    """As the database gives them: to make records of them takes far longer, and shows no more."""
    left_out = _SEALED_LATER if table._meta.table_name == "audit" else set()
    columns = [name for name in table._meta.columns if name not in left_out]
    listed = ", ".join(f'"{name}"' for name in columns)
    for row in table._meta.database.execute_sql(f'SELECT {listed} FROM "{table._meta.table_name}"'):
        yield str(dict(zip(columns, row, strict=True)))


def changed(before: dict[str, list[str]]) -> dict[str, list[str]]:
    """The rows that are there now and were not, or were other ones, by table."""
    now = rows()
    found = {name: sorted(set(now[name]) ^ set(before[name])) for name in now}
    return {name: differing for name, differing in found.items() if differing}


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A bot that has all of it, and rests."""
    with stage(folder, socket_mode=False, pages=True, shows=False) as bot:
        (bot.rt.settings.runbooks_dir / "_access.yaml").write_text(ACCESS)
        ready_with(bot, BOOKS)
        made = World(bot)
        _versions(bot)
        _start(made)
        _hold(made)
        _settle(bot)
        made.watch()
        for user in (ALICE, DAVE, CAROL, RESPONDER, OUTSIDER, GONE):
            bot.door.ctx.directory.identify(user)
        wait_for(_rests)
        yield made
        made.close()


def _rests() -> bool:
    before = rows()
    time.sleep(0.4)
    return not changed(before)


def _versions(bot: Stage) -> None:
    """Drafts, two versions of some, and approvals that have ended."""
    folder = bot.rt.settings.runbooks_dir
    for slug, more in DRAFTS.items():
        (folder / f"{slug}.yaml").write_text(f"apiVersion: runbook/v1\nid: {slug}\nname: New\n{more}{_SAYS}")
    for slug in ("twice", "again"):
        path = folder / f"{slug}.yaml"
        path.write_text(path.read_text().replace("Hello", "Good day"))
    sync.sync(bot.rt, SYSTEM)
    for slug in ("twice", "again"):
        assert "is approved" in bot.say(f"admin approve {slug}@2", ALICE)
    for slug in ("gone", "lapsed"):
        bot.say(f"admin deprecate {slug}@1 reason=replaced", ALICE)


def _settle(bot: Stage) -> None:
    """Approvals end after a month, and what is of high risk takes two."""
    settings = replace(bot.rt.settings, definition_approvals=2, approval_max_age=30 * 86_400_000)
    bot.rt = bot.door.ctx.rt = replace(bot.rt, settings=settings)
    with database.transaction():
        at = database.now() - 31 * 86_400_000
        RunbookVersion.update(decided_at=at).where(RunbookVersion.slug.in_(["old", "older"])).execute()
    for slug in ("half", "halves"):
        assert "still needs 1 of 2" in bot.say(f"admin approve {slug}@1", ALICE)


def _start(made: World) -> None:
    """Two runs of each, as far as they go by themselves."""
    bot = made.bot
    trouble = {"path": "/hosts/restart/basket", "times": 2, "delay_ms": 4000}
    httpx.post(f"{bot.sim.target_url}/faults", json=trouble, trust_env=False).raise_for_status()
    kinds = ("lost", "parked", "ends", "picked", "skips", "offered", "asked", "pick", "swap", "fails", "guarded")
    for kind in (*kinds, "careful", "note"):
        words = f"run {kind} force=yes reason=here" + " shop=x" * (kind == "note")
        made.runs[kind] = (bot.start(words), bot.start(words))
    for run in made.runs["guarded"]:
        wait_for(lambda run=run: executions.view(bot.rt, run).gates)
        bot.say(f"approve {run}", ALICE)
        wait_for(lambda run=run: executions.find(bot.rt, run).status == "FAILED")
        assert "is not skipped yet" in bot.say(f"skip {run} backup reason=full")
    for run in made.runs["offered"]:
        bot.say(f"handover {run} <@{DAVE}>")
    for kind, status in {"fails": "FAILED", "lost": "WAITING", "note": "SUCCESS", "careful": "WAITING"}.items():
        for run in made.runs[kind]:
            wait_for(lambda run=run, status=status: executions.find(bot.rt, run).status == status)


def _hold(made: World) -> None:
    """A freeze, requests that wait for its end, break-glasses, an incident, and a form that was filled in."""
    bot = made.bot
    bot.say('freeze runbook:note for=1h reason="release night"', CAROL)
    for shop in ("one", "two"):
        bot.say(f"run note shop={shop} hold=yes")
        told = bot.say(f"run note shop={shop} break_glass=yes reason=down")
        made.emergencies += ("B-" + told.split("B-")[1][:8],)
    made.held = tuple(each.held.id for each in held_requests.listing(bot.rt, bot.door.ctx.directory.identify(ALICE)))
    made.incident = int(incidents.bound(bot.rt, {"channel": CHANNEL})["case"])
    made.draft = form_drafts.keep(bot.rt, CAROL, Draft({"shop": "filled"}, "here"))
