"""Every button and form × who must not × right, another's and broken values: nothing but a refusal comes of it.

Whoever is in a channel can press what is shown there, with any client and any value. The table has a row for each
action and form that there is; what is pressed by whom it is for has to work, which proves the values.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from forged import GONE, OUTSIDER, RESPONDER, World, changed, rows, world
from stage import ALICE, CAROL, CHANNEL, DAVE

from bot.grammar import GrammarError
from bot.slack.ids import Action, Form
from bot.slack.payload_values import (
    BadValue,
    ChannelRef,
    CommandRef,
    DeprecateForm,
    FreezeRef,
    GatePage,
    GateRef,
    HomeState,
    KeptRef,
    Pick,
    PickForm,
    PlanRef,
    RejectForm,
    ResolveForm,
    RunForm,
    RunRef,
    SecretForm,
    SkipForm,
    SkipRef,
    StepRef,
    TaskForm,
    TaskRef,
    VersionPage,
    VersionRef,
    VoteRef,
    WhyForm,
    encode,
)
from engine.catalog import catalog
from engine.errors import EngineError
from engine.orchestration.admission import Wanted
from engine.runs import plans
from storage import database

HERE = {"channel": CHANNEL, "channel_name": ""}
Value = Callable[[World, int, int], str]
"""What a button or form carries: of the nth of two things, with what was shown of the mth."""


@dataclass(frozen=True)
class Row:
    """A button's or form's value, and who may use it.

    What is only `looked` at is shown to every member, and to nobody else. What takes `any_role` the responder may do.
    `thawed` says that it takes effect once the freeze is over. `values` are a form's.
    """

    value: Value
    by: str = ALICE
    looked: bool = False
    any_role: bool = False
    thawed: bool = False
    values: Any = None

    def refuses(self, user: str) -> bool:
        """Whether this person gets nothing of it."""
        return user == GONE or not (self.looked or (self.any_role and user == RESPONDER))


def run(kind: str) -> Value:
    return lambda w, n, _m: encode(RunRef(w.runs[kind][n]))


def step(kind: str, path: str) -> Value:
    return lambda w, n, m: encode(StepRef(w.runs[kind][n], path, 1 + (n != m)))


def gate(kind: str, form: Callable[..., Any] = GateRef, *more: Any) -> Value:
    def value(w: World, n: int, m: int) -> str:
        shown = w.gate(kind, n)
        digest = shown.digest if n == m else "sha256:of-another"
        return encode(form(w.runs[kind][n], shown.path, digest, *more))

    return value


def task(w: World, n: int, m: int) -> str:
    return encode(TaskRef(w.runs["swap"][n], "swap", w.task(m).id))


def version(one: str, other: str, page: int | None = None, number: int = 1) -> Value:
    def value(w: World, n: int, m: int) -> str:
        slug = (one, other)[n]
        digest = catalog.version(w.bot.rt, (one, other)[m], number).digest
        return encode(VersionRef(slug, number, digest) if page is None else VersionPage(slug, number, digest, page))

    return value


def vote(w: World, n: int, _m: int) -> str:
    found = catalog.version(w.bot.rt, ("half", "halves")[n], 1)
    return encode(VoteRef(found.slug, found.number, found.digest, database.now()))


def kept(what: str) -> Value:
    return lambda w, n, _m: encode(KeptRef(getattr(w, what)[n]))


def looked_for(text: str) -> Value:
    return lambda _w, n, _m: text if n == 0 else "nothing-of-the-kind"


def pages(_w: World, n: int, _m: int) -> str:
    return encode(HomeState(page=n))


def of_note(w: World, n: int, _m: int) -> str:
    return encode(RunForm("note", 1, CHANNEL, "", draft=w.draft + n, keep="hold"))


def planned(w: World, n: int, m: int) -> str:
    actor, shop = w.bot.door.ctx.directory.identify(CAROL), ("filled", "another")[m]
    digest = plans.make(w.bot.rt, actor, Wanted("note", {"shop": shop}, trigger="slack", incident=HERE)).digest
    return encode(PlanRef("note", 1, CHANNEL, "", w.draft + n, digest))


ACTIONS: dict[Action, Row] = {
    Action.PAGE: Row(run("parked"), looked=True),
    Action.WHY: Row(run("parked"), looked=True),
    Action.LOGS: Row(run("parked"), looked=True),
    Action.PAUSE: Row(run("parked"), CAROL),
    Action.RESUME: Row(run("parked"), CAROL),
    Action.SKIP: Row(run("skips"), CAROL),
    Action.CANCEL: Row(run("parked"), CAROL),
    Action.END_NOW: Row(run("ends"), CAROL),
    Action.RETRY_FAILED: Row(step("fails", "call"), CAROL),
    Action.TAKE_OVER: Row(run("offered"), DAVE),
    Action.AGREE: Row(lambda w, n, m: encode(SkipRef(w.runs["guarded"][n], "backup", w.skip_asked_at(m))), DAVE),
    Action.REVIEW: Row(gate("careful")),
    Action.REVIEW_PAGE: Row(gate("careful", GatePage, 0)),
    Action.REJECT: Row(gate("careful")),
    Action.APPROVE: Row(gate("careful")),
    Action.RETRY: Row(step("lost", "send"), CAROL),
    Action.MARK_DONE: Row(step("lost", "send"), CAROL),
    Action.MARK_FAILED: Row(step("lost", "send"), CAROL),
    Action.TASK_DONE: Row(task, CAROL),
    Action.TASK_FAILED: Row(task, CAROL),
    Action.REVIEW_VERSION: Row(version("fresh", "other")),
    Action.VERSION_PAGE: Row(version("fresh", "other", 0)),
    Action.APPROVE_VERSION: Row(version("fresh", "other")),
    Action.WITHDRAW_VERSION: Row(vote),
    Action.REVIEW_RENEWAL: Row(version("old", "older")),
    Action.RENEWAL_PAGE: Row(version("old", "older", 0)),
    Action.RENEW_VERSION: Row(version("old", "older")),
    Action.HISTORY: Row(version("twice", "again"), looked=True),
    Action.DEPRECATE: Row(version("twice", "again")),
    Action.ROLLBACK: Row(version("gone", "lapsed")),
    Action.OPEN_FORM: Row(version("drain", "pick"), CAROL),
    Action.RUN_PLAN: Row(planned, CAROL, thawed=True),
    Action.PICK: Row(lambda w, n, _m: encode(Pick(w.runs["picked"][n], "pause")), CAROL),
    Action.CLOSE_INCIDENT: Row(
        lambda w, n, m: encode(ChannelRef((CHANNEL, "C0SECRET1")[n], w.incident + m, "over")), CAROL, any_role=True
    ),
    Action.HOME_TEXT: Row(looked_for("drain"), looked=True),
    Action.HOME_TEAM: Row(looked_for("payments"), looked=True),
    Action.HOME_TAG: Row(looked_for("linux"), looked=True),
    Action.HOME_STATUS: Row(looked_for("draft"), looked=True),
    Action.HOME_BACK: Row(pages, looked=True),
    Action.HOME_PAGE: Row(pages, looked=True),
    Action.HOLD: Row(lambda _w, n, _m: encode(CommandRef(f"run note hold=yes shop={n}")), CAROL),
    Action.HOLD_FILLED: Row(of_note, CAROL),
    Action.HOLD_AGAIN: Row(run("note"), CAROL),
    Action.DROP_HELD: Row(kept("held"), CAROL),
    Action.AGREE_BREAK_GLASS: Row(kept("emergencies"), DAVE),
    Action.RELEASE: Row(lambda w, _n, _m: encode(KeptRef(w.held[1])), CAROL, thawed=True),
    Action.STOP_EVERYTHING: Row(lambda _w, n, _m: encode(FreezeRef(("everything", "team:payments")[n])), thawed=True),
}
WHY = {"reason": {"value": {"value": "because it is so"}}}


def chosen(block: str, value: str) -> dict[str, Any]:
    return {block: {"value": {"selected_option": {"value": value}}}}


def decided(w: World, n: int, m: int) -> str:
    return encode(ResolveForm(w.runs["lost"][n], "send", 1 + (n != m), "done", CHANNEL))


def reported(w: World, n: int, m: int) -> str:
    return encode(TaskForm(w.runs["swap"][n], "swap", w.task(m).id, TaskForm.DONE, CHANNEL))


FORMS: dict[Form, Row] = {
    Form.RUN: Row(
        lambda _w, n, _m: encode(RunForm("drain", 1, (CHANNEL, "C0SECRET1")[n], "")), CAROL,
        values=chosen("param:service", "1") | WHY,
    ),
    Form.REJECT: Row(gate("careful", RejectForm, CHANNEL), values=WHY),
    Form.APPROVE: Row(gate("pick", RejectForm, CHANNEL), values=chosen("param:region", "0") | WHY),
    Form.RESOLVE: Row(decided, CAROL, values=WHY),
    Form.TASK: Row(reported, CAROL, values={"param:slot": {"value": {"value": "7"}}} | WHY),
    Form.SKIP: Row(
        lambda w, n, _m: encode(SkipForm(w.runs["skips"][n], CHANNEL)), CAROL, values=chosen("step", "hear") | WHY
    ),
    Form.PICK: Row(
        lambda _w, n, _m: encode(PickForm((CHANNEL, "C0SECRET1")[n], "", "")), CAROL, values=chosen("runbook", "drain")
    ),
    Form.DEPRECATE: Row(
        lambda _w, n, _m: encode(DeprecateForm(("again", "twice")[n], 2, CHANNEL)), values=WHY
    ),
    Form.WHY: Row(
        lambda w, n, _m: encode(WhyForm("run.pause", encode(RunRef(w.runs["asked"][n])), CHANNEL)), CAROL, values=WHY
    ),
    Form.SECRET: Row(
        lambda _w, n, _m: encode(SecretForm(f"forged_{n}", CHANNEL)),
        values={"secret": {"value": {"value": "x8-typed-into-a-form"}}},
    ),
}  # fmt: skip
NOT_OURS = (
    "", " ", "null", "[]", "{}", "7", '"R-7K2M9Q"', "[null]", '["R-ZZZZZZ"]', '["R-ZZZZZZ","send",1]', '["a","b","c"]',
    '["a","b","c","d","e"]', '["' + "x" * 1900 + '"]', "[" * 1900, '["\\u0000"]', '["\\ud800","b",1,"d"]', "[1e999]",
    '["<!channel>\'; DROP TABLE audit; --"]', '["nothing",99999999999999999999999,""]', '["drain",-1,"","","",0]',
    '["everything"]', '["run drain service=basket force=yes"]', '["../../etc/passwd",0,""]',
)  # fmt: skip
"""Values that no button of this bot carries, and some that are another button's."""
STATES: tuple[Any, ...] = (
    {}, WHY, {"reason": {}}, {"reason": {"value": {"value": 7}}},
    chosen("param:service", "99") | chosen("param:region", "-1") | WHY,
    chosen("step", "\0") | chosen("runbook", "../x") | WHY,
    chosen("param:service", "x") | chosen("param:region", "x") | {"secret": {"value": {"value": "\0"}}} | WHY,
)  # fmt: skip
OUTSIDE = (OUTSIDER, RESPONDER, GONE)


@pytest.fixture(scope="module")
def all_there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("forged")) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What cannot be read is refused; it is no accident that somebody has to look into."""
    yield
    assert [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.ERROR] == []


def test_every_button_and_form_has_a_row() -> None:
    assert set(ACTIONS) == set(Action)
    assert set(FORMS) == set(Form)


def refused(answer: dict[str, Any], outcomes: list[BaseException | None]) -> bool:
    """Whether nothing but a refusal came of a request: in the form, or of all work that was handed over."""
    in_form = "Not possible" in json.dumps(answer) or bool(answer.get("errors"))
    return in_form or (
        bool(outcomes) and all(isinstance(each, (EngineError, BadValue, GrammarError)) for each in outcomes)
    )


def values_of(all_there: World, row: Row) -> list[tuple[str, int, int]]:
    """Each value once: the right one, another's, and the one of these with what was shown of the other."""
    found = {row.value(all_there, n, m): (n, m) for n, m in ((0, 1), (1, 1), (0, 0))}
    return [(value, n, m) for value, (n, m) in found.items()]


def test_no_button_lets_in_who_must_not(all_there: World) -> None:
    """In a message and in a modal; the right value, another's, and one of each with what was shown of the other."""
    before = rows()
    for action, row in ACTIONS.items():
        for user in OUTSIDE:
            for value, n, m in values_of(all_there, row):
                for modal in ("", "V1"):
                    if row.any_role and user == RESPONDER:
                        continue
                    made = all_there.click(user, action, value, modal=modal, metadata=value)
                    answer, outcomes = all_there.send(made)
                    told = action is Action.RELEASE  # in its list of what became of each
                    assert told or refused(answer, outcomes) is row.refuses(user), (action, user, n, m, outcomes)
        assert changed(before) == {}, action


def test_no_form_lets_in_who_must_not(all_there: World) -> None:
    before = rows()
    for form, row in FORMS.items():
        for user in OUTSIDE:
            for value, n, m in values_of(all_there, row):
                made = all_there.submit(user, form, value, row.values)
                answer, outcomes = all_there.send(made)
                assert refused(answer, outcomes), (form, user, n, m, answer, outcomes)
        assert changed(before) == {}, form


def test_what_was_shown_of_another_counts_for_nothing(all_there: World) -> None:
    """Though who presses it may do either: a vote, a skip or a task is about what its own message showed."""
    before = rows()
    for action, row in ACTIONS.items():
        mixed = row.value(all_there, 0, 1)
        if mixed in (row.value(all_there, 0, 0), row.value(all_there, 1, 1)):
            continue
        all_there.send(all_there.click(row.by, action, mixed))
        assert changed(before) == {}, action
    for form, row in FORMS.items():
        mixed = row.value(all_there, 0, 1)
        if mixed not in (row.value(all_there, 0, 0), row.value(all_there, 1, 1)):
            all_there.send(all_there.submit(row.by, form, mixed, row.values))
            assert changed(before) == {}, form


@pytest.mark.parametrize("user", [*OUTSIDE, ALICE])
def test_no_broken_value_does_anything(all_there: World, user: str) -> None:
    """Nor is it an accident, for a platform admin either."""
    before = rows()
    values = NOT_OURS if user == ALICE else NOT_OURS[::4]
    for action in Action:
        for value in values:
            if (action, value) not in _MEANT:
                all_there.send(all_there.click(user, action, value, modal="V1" * (len(value) % 2), metadata=value))
        assert changed(before) == {}, action
    for form, row in FORMS.items():
        for value in values:
            all_there.send(all_there.submit(user, form, value, row.values))
        assert changed(before) == {}, form


_MEANT = {
    (Action.STOP_EVERYTHING, '["everything"]'),
    (Action.HOLD, '["run drain service=basket force=yes"]'),
}
"""What among them is this very button's."""


@pytest.mark.parametrize("user", OUTSIDE)
def test_no_broken_input_does_anything(all_there: World, user: str) -> None:
    """What is filled in is no more to be trusted than what the form carries; a form asks for every right reason."""
    before = rows()
    for form, row in FORMS.items():
        for values in STATES:
            all_there.send(all_there.submit(user, form, row.value(all_there, 0, 0), values))
        assert changed(before) == {}, form
    for action in Action:
        about = encode(WhyForm(action, ACTIONS[action].value(all_there, 0, 0), CHANNEL))
        all_there.send(all_there.submit(user, Form.WHY, about, WHY))
    assert changed(before) == {}


def test_the_same_values_work_for_whom_they_are(all_there: World) -> None:
    """Last, as they change everything: the refusals above were of values that do something."""
    thawed = {action: row for action, row in ACTIONS.items() if row.thawed}
    for action, row in ACTIONS.items():
        if action not in thawed:
            _works(all_there, action, row)
    for form, row in FORMS.items():
        before = rows()
        n = 1 if form is Form.REJECT else 0
        answer, outcomes = all_there.send(all_there.submit(row.by, form, row.value(all_there, n, n), row.values))
        assert not refused(answer, outcomes), (form, answer, outcomes)
        assert changed(before) or answer.get("view"), form
    all_there.bot.say("unfreeze runbook:note", CAROL)
    for action, row in thawed.items():
        _works(all_there, action, row)


def _works(all_there: World, action: Action, row: Row) -> None:
    before = rows()
    calls = len(all_there.bot.get("calls"))
    modal = all_there.bot.form(row.by)["id"] if action is Action.REVIEW_PAGE else ""
    answer, outcomes = all_there.send(all_there.click(row.by, action, row.value(all_there, 0, 0), modal=modal))
    assert not refused(answer, outcomes), (action, outcomes)
    opened = [each for each in all_there.bot.get("calls")[calls:] if each["method"].startswith("views.")]
    answered = row.looked or action in (Action.REVIEW_VERSION, Action.REVIEW_RENEWAL)
    assert answered or opened or changed(before), action
