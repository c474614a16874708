"""Freezes: what they keep from beginning, whom they let lift them, and what is under way."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime

import pytest
from harness import ALICE, BOB, CAROL, DAVE, HOUR, OSCAR, Harness, Target, gate, http, runbook

from engine.access import freeze_times
from engine.access.policy import Action, verdict
from engine.catalog import catalog
from engine.errors import Conflict, Frozen, InvalidParameters, NotAllowed, NotFound, ReasonRequired
from engine.orchestration import admission
from engine.runs import controls, freezing, replay_run, skipping
from storage import audit, database, freezes
from storage.freeze_records import FreezeRecord
from storage.states import ExecutionStatus, Scope


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(
        runbook("pay", http("a", target.url("/pay")), tags=["db"]),
        runbook("look", http("a", target.url("/look")), team=None),
    )
    return harness


def freeze(harness: Harness, scope: str = "everything", who=ALICE, **keys):
    keys.setdefault("lasting", "2h")
    return freezing.freeze(harness.rt, who, scope, keys.pop("reason", "release night"), **keys).freeze


SCOPES = {"everything": "yy", "team:payments": "y-", "tag:db": "y-", "runbook:pay": "y-", "pay": "y-", "look": "-y"}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_freeze_covers_its_scope_and_nothing_else(harness: Harness, scope: str) -> None:
    """Whoever may run it, platform admins too."""
    freeze(harness, scope)
    for slug, expected in zip(("pay", "look"), SCOPES[scope], strict=True):
        if expected == "y":
            with pytest.raises(Frozen, match=r"F-.* freezes .* until .* UTC: release night \(set by @U0ALICE01\)"):
                harness.start(slug, ALICE)
        else:
            assert harness.start(slug, ALICE)


def test_the_refusal_says_who_may_lift_it(harness: Harness) -> None:
    freeze(harness, "team:payments", BOB)
    decided = verdict(harness.rt, CAROL, Action.START, catalog.get(harness.rt, "pay"))
    assert "Only admins of team payments and platform admins may lift it (`unfreeze F-" in decided.why
    assert decided.ask == ("U0BOB0001", "S0PLATFORM")


def test_it_ends_by_itself_and_by_an_unfreeze(harness: Harness) -> None:
    freeze(harness)
    harness.clock.tick(2 * HOUR)
    harness.know_groups()
    assert harness.start("pay")
    freeze(harness)
    freezing.unfreeze(harness.rt, DAVE, "everything")
    assert harness.start("pay")
    with pytest.raises(NotFound, match="No freeze of everything"):
        freezing.unfreeze(harness.rt, DAVE, "everything")
    for ended in freezing.listing(harness.rt, DAVE):
        with pytest.raises(Conflict, match="has ended"):
            freezing.unfreeze(harness.rt, DAVE, ended.freeze.id)


@pytest.mark.parametrize(
    ("scope", "who", "may"),
    [
        ("everything", BOB, False), ("everything", ALICE, True), ("tag:db", BOB, False), ("team:payments", BOB, True),
        ("team:payments", CAROL, False), ("runbook:pay", BOB, True), ("runbook:look", BOB, False),
        ("runbook:pay", OSCAR, False),
    ],
)  # fmt: skip
def test_nobody_lifts_what_they_could_not_have_set(harness: Harness, scope: str, who, may: bool) -> None:
    made = freeze(harness, scope)
    if may:
        freezing.unfreeze(harness.rt, who, made.id)
        freeze(harness, scope, who)
        return
    for act in (lambda: freezing.unfreeze(harness.rt, who, made.id), lambda: freeze(harness, scope, who)):
        with pytest.raises(NotAllowed, match=r"Only .* may (un)?freeze"):
            act()


def test_an_edit_that_waits_does_not_lead_out_of_a_freeze(harness: Harness, target: Target) -> None:
    """With ON_EDIT=keep the approved version would run, whatever the draft says of its team and tags."""
    harness.settle_for(on_edit="keep")
    freeze(harness, "tag:db")
    freeze(harness, "team:payments")
    harness.sync(pay=runbook("pay", http("a", target.url("/pay")), team="search"))
    for which in ("tag:db", "team:payments"):
        with pytest.raises(Frozen):
            harness.start("pay", ALICE)
        freezing.unfreeze(harness.rt, ALICE, which)
    assert harness.start("pay", ALICE)


def test_retry_replay_and_a_skip_that_lets_a_failed_run_go_on_are_covered(harness: Harness, target: Target) -> None:
    target.does["/pay"] = [lambda conn, _: conn.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")]
    run = harness.start("pay")
    harness.run(run)
    freeze(harness)
    rt = harness.rt
    for act in (
        lambda: controls.retry(rt, ALICE, run), lambda: replay_run.replay(rt, ALICE, run),
        lambda: skipping.skip(rt, ALICE, run, "a", "x"),
    ):  # fmt: skip
        with pytest.raises(Frozen):
            act()
    assert harness.execution(run).status is ExecutionStatus.FAILED


def test_what_is_under_way_goes_on_with_its_children(harness: Harness, target: Target) -> None:
    harness.publish(runbook("calls", {"id": "c", "type": "runbook", "with": {"id": "pay"}}))
    run = harness.start("calls")
    freeze(harness)
    harness.run(run)
    harness.run(run)
    assert harness.execution(run).status is ExecutionStatus.SUCCESS
    assert target.paths() == ["/pay"]


def test_a_freeze_set_between_question_and_commit_counts(harness: Harness) -> None:
    """What was checked before it is asked again in the transaction that accepts."""
    checked = admission.check(harness.rt, CAROL, admission.Wanted("pay", {}, "test"))
    freeze(harness)
    with pytest.raises(Frozen), database.transaction():
        admission.accept(harness.rt, CAROL, checked)


@pytest.mark.parametrize(
    ("keys", "needle"),
    [
        ({"lasting": ""}, "say when it ends"), ({"until": "18:00"}, "only once"), ({"lasting": "32d"}, "at most 31"),
        ({"lasting": "", "until": "soon"}, "no time"), ({"lasting": "", "until": "2001-01-01T00:00"}, "is past"),
        ({"lasting": "", "until": "2026-11-28"}, "no time"), ({"lasting": "x"}, "not a duration"),
        ({"lasting": "", "until": "9999-12-31T23:59-14:00"}, "from 1970 to 9999"),
        ({"lasting": "99999999d"}, "from 1970 to 9999"),
        ({"lasting": "", "until": "0001-01-01T00:00+14:00"}, "from 1970 to 9999"),
    ],
)  # fmt: skip
def test_an_end_that_cannot_be_is_refused(harness: Harness, keys: dict[str, str], needle: str) -> None:
    with pytest.raises(InvalidParameters, match=needle):
        freeze(harness, **keys)


def test_it_needs_a_reason_and_a_scope_that_is_there(harness: Harness) -> None:
    with pytest.raises(ReasonRequired):
        freeze(harness, reason=" ")
    for scope, needle in (
        ("team:payment", "Did you mean team:payments"), ("tag:nothing", "no tag"), ("pai", "Did you mean runbook:pay"),
        ("planet:earth", "is no scope"),
    ):  # fmt: skip
        with pytest.raises(NotFound, match=needle):
            freeze(harness, scope)


BERLIN = [
    ("18:00", "2026-11-27T12:00:00Z", "2026-11-27T17:00:00Z"),
    ("18:00", "2026-11-27T17:30:00Z", "2026-11-28T17:00:00Z"),
    ("02:30", "2026-03-28T22:00:00Z", "2026-03-29T01:30:00Z"),
    ("02:30", "2026-10-24T22:00:00Z", "2026-10-25T01:30:00Z"),
    ("2026-11-28T18:00+00:00", "2026-11-27T12:00:00Z", "2026-11-28T18:00:00Z"),
    ("2026-11-28 18:00", "2026-11-27T12:00:00Z", "2026-11-28T17:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "now", "expected"), BERLIN)
def test_a_time_is_one_of_who_asks(text: str, now: str, expected: str) -> None:
    """Also where the clocks are changed: what is skipped, and what comes twice."""
    at = freeze_times.end(text, "", "Europe/Berlin", round(datetime.fromisoformat(now).timestamp() * 1000))
    assert at == round(datetime.fromisoformat(expected).timestamp() * 1000)


def test_holding_pauses_what_is_under_way_before_its_next_call(harness: Harness, target: Target) -> None:
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b"), needs=["a"]), slug="two")
    waits = harness.begin(gate("ask"), http("c", target.url("/c"), needs=["ask"]), slug="waits")
    harness.run(waits)
    target.on_request = lambda path: freeze(harness, hold_running=True) if path == "/a" else None
    harness.run(run)
    assert target.paths() == ["/a"]
    assert harness.execution(run).status is harness.execution(waits).status is ExecutionStatus.PAUSED
    assert "release night" in (harness.execution(run).paused_reason or "")
    (shown,) = freezing.listing(harness.rt, ALICE)
    assert set(shown.paused) == {run, waits}
    with pytest.raises(Frozen):
        controls.resume(harness.rt, ALICE, run)
    lifted = freezing.unfreeze(harness.rt, ALICE, "everything", resume=True)
    assert set(lifted.resumed) == {run, waits}
    harness.run(run)
    assert target.paths() == ["/a", "/b"]


def test_no_call_begins_once_a_hold_is_set(harness: Harness, target: Target) -> None:
    """With a worker that goes on by itself in threads of its own; what was claimed before may still arrive."""
    steps = [http(f"s{n}", target.url(f"/{n}"), needs=[f"s{n - 1}"] if n else []) for n in range(30)]
    harness.publish(runbook("long", *steps))
    runs, begun = [harness.start("long") for _ in range(2)], threading.Event()
    target.on_request = lambda path: begun.set() if path == "/2" else None
    threads = [threading.Thread(target=harness.advance, args=(run,)) for run in runs]
    for each in threads:
        each.start()
    assert begun.wait(20)
    freeze(harness, hold_running=True)
    claimed = sum(len(harness.attempts(run, each.path)) for run in runs for each in harness.step_runs(run))
    for each in threads:
        each.join(20)
    assert len(target.hits) == claimed
    assert claimed < 60
    assert {harness.execution(run).status for run in runs} == {ExecutionStatus.PAUSED}


def test_an_accepted_run_that_was_missed_is_paused_at_its_claim(harness: Harness, target: Target) -> None:
    run = harness.start("pay")
    with database.transaction():
        made = freeze_record(harness)
        freezes.create(harness.rt.workspace_id, made)
    harness.run(run)
    assert harness.execution(run).status is ExecutionStatus.PAUSED
    assert target.paths() == []


def freeze_record(harness: Harness):
    return FreezeRecord("F-TEST", "everything", "x", True, harness.clock.time + HOUR, harness.clock.time, ALICE.user_id)


def test_lifting_leaves_paused_what_another_freeze_holds(harness: Harness) -> None:
    run = harness.start("pay")
    first = freeze(harness, hold_running=True)
    freeze(harness, "tag:db", hold_running=True)
    lifted = freezing.unfreeze(harness.rt, ALICE, first.id, resume=True)
    assert lifted.paused == (run,)
    assert "tag:db" in lifted.refused[run]
    freezing.unfreeze(harness.rt, ALICE, "tag:db")
    assert controls.resume(harness.rt, CAROL, run).status is ExecutionStatus.PENDING


def test_a_run_paused_by_hand_does_not_slip_past(harness: Harness) -> None:
    run = harness.start("pay")
    controls.pause(harness.rt, CAROL, run)
    freeze(harness, hold_running=True)
    with pytest.raises(Frozen):
        controls.resume(harness.rt, CAROL, run)
    plain = freezing.unfreeze(harness.rt, ALICE, "everything")
    assert plain.paused == ()
    freeze(harness)
    controls.resume(harness.rt, CAROL, run)


def test_lifted_twice_at_once_is_lifted_once(harness: Harness) -> None:
    made = freeze(harness)
    done: list[object] = []

    def lift() -> None:
        try:
            done.append(freezing.unfreeze(harness.rt, ALICE, made.id))
        except (Conflict, NotFound) as error:
            done.append(error)

    threads = [threading.Thread(target=lift) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(isinstance(each, freezing.Lifted) for each in done) == 1
    with database.reading():
        rows = audit.recent(harness.rt.workspace_id, 100)
    assert [each.action for each in rows].count("freeze.lift") == 1


def test_no_start_slips_past_a_freeze(harness: Harness) -> None:
    """Starts by real threads while it is set: whatever is accepted was accepted before the freeze was on record."""
    stop = threading.Event()

    def start() -> None:
        while not stop.is_set():
            try:
                harness.start("look", ALICE)
            except Frozen:
                return

    threads = [threading.Thread(target=start) for _ in range(3)]
    for each in threads:
        each.start()
    freeze(harness)
    stop.set()
    for each in threads:
        each.join()
    with pytest.raises(Frozen):
        harness.start("look", ALICE)
    with database.reading():
        rows = [each.action for each in audit.recent(harness.rt.workspace_id, 1000)]
    newest = rows.index("freeze.set")
    assert "execution.start" not in rows[:newest]


def test_a_token_cannot_freeze_without_the_scope(harness: Harness) -> None:
    who = replace(ALICE, scopes=frozenset({Scope.READ, Scope.RUN}))
    with pytest.raises(NotAllowed, match="lacks the scope admin"):
        freeze(harness, who=who)


CALENDAR = """
windows:
  - {name: nights, scope: "tag:db", reason: the backup runs, zone: Europe/Berlin, cron: "0 9 * * *", for: 2h}
"""


def test_a_window_of_the_calendar_freezes_and_nobody_lifts_it_by_word(harness: Harness) -> None:
    """The clock of the tests stands at 2027-01-15 08:00 UTC, which is 09:00 in Berlin."""
    assert harness.sync(_calendar_yaml=CALENDAR).ok
    with pytest.raises(Frozen, match=r"calendar:nights freezes tag:db .* \(set by the calendar\).*in _calendar.yaml"):
        harness.start("pay", ALICE)
    harness.start("look", ALICE)
    with pytest.raises(NotFound):
        freezing.unfreeze(harness.rt, ALICE, "tag:db")
    assert [each.freeze.id for each in freezing.listing(harness.rt, ALICE)] == ["calendar:nights"]
    assert len(freezing.upcoming(harness.rt, ALICE)) == 14
    harness.clock.tick(2 * HOUR)
    harness.know_groups()
    harness.start("pay")


def test_a_broken_calendar_changes_nothing_and_is_reported(harness: Harness) -> None:
    harness.sync(_calendar_yaml=CALENDAR)
    report = harness.sync(_calendar_yaml=CALENDAR.replace("0 9 * * *", "* * * * *"))
    assert "the minute has to be one number" in str(report.problems[0])
    with pytest.raises(Frozen):
        harness.start("pay", ALICE)
    (harness.folder / "_calendar.yaml").unlink()
    assert harness.sync().ok
    harness.start("pay", ALICE)
    with database.reading():
        rows = [each.action for each in audit.recent(harness.rt.workspace_id, 100)]
    assert rows.count("calendar.change") == 2


ONCE = """
windows:
  - {name: closed, scope: "%s", reason: the books close, from: "2026-12-31T00:00", until: "2027-12-31T00:00"}
"""


@pytest.mark.parametrize(
    "scope",
    ["tag: db", "Tag:db", "pay", "Everything", "runbook:Pay", "runbook: pay", " team:payments", "team: payments"],
)
def test_a_window_freezes_its_scope_however_it_is_spelled(harness: Harness, scope: str) -> None:
    assert harness.sync(_calendar_yaml=ONCE % scope).ok
    with pytest.raises(Frozen):
        harness.start("pay", ALICE)


@pytest.mark.parametrize(
    ("rule", "needle"),
    [
        ("FREQ=DAILY;BYDAY=MO\nEXRULE:FREQ=DAILY", "one rule, without"),
        ("FREQ=WEEKLY;BYDAY=FR;BYDAY=MO", "`BYDAY` stands in it twice"),
    ],
)
def test_a_rule_that_says_more_than_one_thing_is_told(harness: Harness, rule: str, needle: str) -> None:
    window = {"name": "n", "scope": "pay", "reason": "r", "rrule": rule, "start": "2026-01-02T00:00", "for": "31d"}
    report = harness.sync(_calendar_yaml=json.dumps({"windows": [window]}))
    assert needle in str(report.problems[0])
