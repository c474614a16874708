"""What Slack is shown: within its limits, safe whatever people wrote, and the same in words as in icons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sample_records import AT, event, execution, gate, make, runbook, runbook_record, step, version, view, vote

from bot import event_text, grammar, rehearsal_words
from bot.grammar import GrammarError
from bot.record_text import log_text
from bot.simulator.blocks import check_blocks, check_view
from bot.slack.payload_values import DeprecateForm, HomeState, PickForm, RejectForm, ResolveForm, RunForm, SkipForm
from bot.slack.views import admin, card, errors, form, lists, reminder, story, thread, why
from bot.slack.views import skip_and_handover as asked_post
from bot.slack.views.gate import gate_blocks, gate_post, parts
from bot.slack.views.home import HomeContent, home_view
from bot.slack.views.parts import Message, said
from engine.access import freeze_times
from engine.access.policy import Gate, Verdict
from engine.catalog.sync import SyncChange, SyncReport
from engine.definition import forms
from engine.definition.model import Step
from engine.errors import Conflict, InvalidDefinition, InvalidParameters, NotAllowed
from engine.orchestration.parameter_changes import Changed
from engine.queries.audit_chain import Trouble, Verified
from engine.queries.can import Ruling
from engine.queries.evidence import RunLog, StepLog
from engine.queries.explain import Explanation, Reason
from engine.queries.incident_story import LeftOut, Story
from engine.runs.executions import GateView
from engine.runs.gate_notifications import Calling
from engine.runs.skipping import Request
from engine.runs.voting import Waiting
from engine.text.problem import Problem
from storage.records import AttemptRecord, AuditRecord, IncidentRecord
from storage.states import ApprovalStatus, AttemptStatus, Decision, ExecutionStatus, Phase, Severity, StepStatus

ID = "U0BOB0001"
LIVE = re.compile(r"<(?!!date\^|@U0|#C0|!subteam\^S0)[^>]")
"""Anything that Slack would make live, but for what views themselves write about ids and times."""
HIDDEN = "a\u202eb\u200bc\x1b[2Jd\u2066e\xadf\ufeffg"
ODD = st.text(
    alphabet=st.one_of(st.sampled_from("<>&!@#|`*_~^\n\t\x00\u202e\ud800😀 U0C"), st.characters()), max_size=60
) | st.sampled_from(
    ["<!channel>", "<@U0EVIL01>", "<https://evil.example|safe>", "&lt;!here&gt;", "<!subteam^S0EVIL1>", ""]
)


def strings(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every text object of a message with its text."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value, value["text"]
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)


def words(message: Message) -> str:
    return "\n".join(text for _, text in strings(message.blocks))


def check(message: Message, surface: str = "message") -> Message:
    """Slack takes it, whole; and every mrkdwn is verbatim, so that Slack turns no text into links."""
    assert check_blocks(list(message.blocks), surface) == []
    assert message.text
    assert len(message.text) <= 4000
    assert len(json.dumps(message.blocks, ensure_ascii=False)) < 30_000
    assert all(found.get("verbatim") for found, _ in strings(message.blocks) if found.get("type") == "mrkdwn")
    json.dumps(message.blocks, ensure_ascii=False).encode()
    return message


def all_views(text: str) -> list[Message]:
    """Every message there is, with one text wherever people or machines can put one; ids are as long as ids get."""
    name = text[:150].encode(errors="replace").decode() or "x"
    error = {"code": text, "message": text, "step": text}
    odd = step(path=name, step_id=text, status=StepStatus.UNKNOWN, error=error, note=text, outputs={"status": text})
    ended = step(2, status=StepStatus.SUCCESS, outputs={"status": 200, "json": {text: text}}, ended_at=AT)
    settled = [{"step": text, "kind": "http", "instead": text}, {"step": text, "instead": f"skipped by {ID}: {text}"}]
    planned = [{"step": text, "url": text, "json": {text: text}}, text, *settled * 30]
    open_gate = gate(message=text, path=name, preview=planned, barred=(text, ID))
    open_gate = replace(open_gate, rejected_before=(vote(text, Decision.REJECT, text),) * 9)
    shut = gate(
        ApprovalStatus.REJECTED, (vote(text, Decision.REJECT, text),), approvers={"users": [text], "roles": [text]}
    )
    whole = view(
        (odd, ended), (open_gate, shut), reason=text, parameters={text: text}, error=error, requester=text, slug=text
    )
    changes = ({"name": text, "old": text, "new": [text]},) * 9
    changed = (Changed(text, AT, changes),) * 5
    whole = replace(whole, runbook=runbook(name=text, description=text), changes=changed)
    shown = version(slug=name, author_email=text, note=text, source_commit=text)
    listed = runbook_record(slug=name, name=text, description=text, team=text, tags=(text,), risk=text)
    schema = {"type": "object", "properties": {text: {"type": "string", "description": text, "enum": [text or "x"]}}}
    report = SyncReport((SyncChange(text, "new", 1), SyncChange(text, text, 1)), (Problem(text, 1, 1, text),), 3)
    return [
        card.card(whole),
        card.card(whole, plan=False),
        card.short_card(whole),
        gate_post(open_gate),
        gate_post(shut),
        *asked_besides(text, name, open_gate),
        reminder.direct_gate_message(open_gate, whole, "", "/runbook"),
        reminder.direct_gate_message(shut, whole, "", "/runbook"),
        reminder.reminder(open_gate, 60_000),
        reminder.reminded_directly(open_gate, 60_000, ""),
        lists.runbooks_view([listed], "/runbook"),
        lists.runbook_view(listed, shown, runbook(schema, name=text, description=text, team=text), [shown], "/runbook"),
        lists.runs_view([execution(slug=text, requester=text)]),
        admin.change_view(shown, text, [text], offer=True),
        admin.approved_view(replace(shown, decided_by=text)),
        admin.deprecated_view(name, [shown], [text], text, "/runbook"),
        admin.rolled_back_view(shown, "/runbook"),
        admin.sync_view(report, "/runbook"),
        errors.refusal(Conflict(text), "/runbook"),
        errors.refusal(InvalidParameters({text: text, "": text}), "/runbook"),
        errors.refusal(InvalidDefinition([Problem(text, 1, 1, text)]), "/runbook"),
        errors.misunderstood(GrammarError(text, "run ID"), "/runbook"),
        errors.refusal(NotAllowed(text, (text, "U0ALICE01", "S0ONCALL")), "/runbook"),
        *words_of_the_channel(text, name),
    ]


def asked_besides(text: str, name: str, shown: GateView) -> list[Message]:
    """What is asked besides the gates themselves, open and over."""
    asked = event("skip_requested", name, text, reason=text, gates=[text])
    wish = {"by": text, "reason": text, "at": asked.at, "agreed": {"0": None, "1": text}}
    wanted = step(path=name, step_id=text, status=StepStatus.FAILED, skip=wish, error={"message": text})
    done = replace(wanted, status=StepStatus.SKIPPED, skip={**wish, "agreed": {"1": text, "2": ID}})
    run = execution(requester=text, owner=text, offered_to=text, slug=text)
    offer = event("handover_offered", None, text, to=text, reason=text)
    changed = event("gate_changed", name, None, approval_id=1, void=[text, ID] * 20)
    request = Request(run, wanted, (Gate(shown.approval, run),) * 9)
    posts = [
        asked_post.skip_post(asked, wanted, request),
        *(asked_post.skip_post(asked, each, None) for each in (wanted, done, replace(done, skip=None), None)),
        *(asked_post.offer_post(offer, run, over=over) for over in (False, True)),
    ]
    direct = [reminder.direct_gate_question(each, view((wanted, done)), "", f"/runbook agree {name}") for each in posts]
    kinds = ("skip_marked", "skip_agreed", "skip_dropped", "handover_offered", "handed_over", "gate_bypassed")
    facts = {"reason": text, "by": text, "was": text, "gates": [text]}
    lines = [thread.line(event(kind, name, text, **facts), view()) or "" for kind in kinds]
    told = [said(each) for each in (*lines, thread.look_again(changed))]
    return [*posts, *direct, *told, card.card(view((wanted, done))), card.card(view((wanted, done)), plan=False)]


FACTS = {
    "group": "", "holders": [""], "queued_before": [""], "by": "", "result": "CANCELLED", "phase": "finally", "key": "",
    "tries": 3, "next": AT, "execution": "", "code": "", "response": {"status": 503, "body": ""}, "undone": True,
    "needed": 2, "missing": 1, "unmet": [""], "then": "fail",
    "votes": [{"person": "", "decision": "APPROVE", "at": AT}], "gates": [""],
    "rejected_before": [{"person": "", "comment": ""}],
}  # fmt: skip


def filled(value: Any, text: str) -> Any:
    """The value with the text wherever it has an empty one."""
    if isinstance(value, dict):
        return {key: filled(part, text) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, text) for part in value]
    return text if value == "" else value


def recorded(text: str, name: str) -> RunLog:
    """A log with the text in everything that was sent, came back and happened."""
    said = {"method": text, "url": text, "headers": {text: text}, "body": text, "digest": text}
    tries = tuple(
        make(AttemptRecord, number=n, status=AttemptStatus.FAILED, started_at=AT, ended_at=AT + 5, request=said,
             response={**said, "status": 503, "metadata": None}, error={"code": text, "message": text})
        for n in (1, 2)
    )  # fmt: skip
    told = (event("step_failed", name, text, message=text, odd=[text, {text: text}]),)
    return RunLog(execution(slug=name), (StepLog(step(path=name, note=text), tries, told),), told)


def words_of_the_channel(text: str, name: str) -> list[Message]:
    """What is said of a run, an incident, the policy and the audit, with the text wherever there can be one."""
    facts = filled(FACTS, text)
    reasons = [Reason(kind, name, AT, AT, text, (text, "U0ALICE01"), ("retry", "skip"), facts) for kind in why.KINDS]
    run = execution(slug=name, requester=text, owner=text)
    changes = ({"name": text, "old": text, "new": [text]},) * 9
    told = Explanation(run, tuple(reasons), 3, (Changed(text, AT, changes),) * 5)
    case = make(IncidentRecord, channel="C0INC0001", channel_name=text, title=text, severity=text, fields={name: text},
                opened_at=AT, opened_by=text, closed_at=AT + 9, closed_by=text, close_reason=text)  # fmt: skip
    detail = {"reason": text, "step": text, "to": text, "changes": list(changes)}
    rows = tuple(AuditRecord(n, AT, text, text, f"execution:{text}", Severity.INFO, detail) for n in range(30))
    past = Story(case, AT, (run,) * 40, True, (told,) * 3, (told,) * 3, rows, LeftOut(900, 900, 900, 900))
    ruling = Ruling(text, text, text, Verdict(False, text, text, text, (text,)), text)
    return [
        why.why_view(told, "/runbook"),
        lists.log_view(name, log_text(recorded(text, name))),
        why.can_view(ruling, own=False),
        story.incident_view(case, "/runbook"),
        story.opened_view(case, "/runbook"),
        story.close_view(case, [run] * 30, text, "/runbook"),
        story.closed_view(case, [run] * 30),
        story.catchup_view(past, "/runbook"),
        lists.pick_view([run] * 20, grammar.spell(grammar.Command("cancel", (), {"reason": text})), "/runbook"),
        admin.history_view(runbook_record(name=text, slug=name, successor=text), [version(note=text)] * 20, rows),
        admin.verified_view(Verified(3, 3, text, (Trouble(2, text),) * 20)),
    ]


@settings(max_examples=60, deadline=None)
@given(ODD)
@example("\ud800")
def test_nothing_that_people_write_comes_alive(text: str) -> None:
    """Whatever is in a name, reason, comment, output or error, Slack takes the message and finds no mention or link."""
    assume(not re.fullmatch(r"S[A-Z0-9]{2,20}", text))  # as a group that its author names it is one, and is mentioned
    for message in all_views(text):
        check(message)
        for _, found in strings(message.blocks):
            assert not LIVE.search(found), found
            assert "<!channel>" not in found
            assert "U0EVIL01>" not in found
        assert not LIVE.search(message.text)


def all_forms(text: str) -> list[dict[str, Any]]:
    """Every form and the Home tab, with one text wherever people or machines can put one."""
    name = text[:150].encode(errors="replace").decode() or "x"
    listed = runbook_record(slug=name, name=text, description=text, team=text, tags=(text,), risk=text)
    schema = {
        "type": "object",
        "properties": {
            name: {"type": "string", "title": text, "description": text, "default": text},
            "b": {"enum": [text, *range(150)], "description": text},
        },
    }
    shown_gate = gate(message=text, path=name, preview=[{"step": text, "url": text, "json": {text: text}}, text])
    run = execution(slug=text, requester=text)
    content = HomeContent([Waiting(shown_gate, run)], [run], [run], [listed], {name}, [text], [text])
    book = runbook(schema, name=text, description=text, risk="high")
    return [
        home_view(content, HomeState(text=text[:100], team=text, tag=text), "/runbook"),
        form.run_form(book, RunForm(name, 1, "", ""), {name: text, "b": text}, text, {name: text, "": text}),
        form.pick_form(PickForm("C0INC0001", text, "1.2")),
        form.gate_form(shown_gate, text),
        form.skip_form(SkipForm("R-7K2M9Q", "C0INC0001"), [name]),
        form.reject_form(RejectForm("R-7K2M9Q", name, "sha256:abc", "C0INC0001")),
        form.deprecate_form(DeprecateForm(name, 1, "C0INC0001")),
    ]


@settings(max_examples=40, deadline=None)
@given(ODD)
def test_nothing_comes_alive_in_forms_either(text: str) -> None:
    """Slack takes every form and the Home tab, and finds no mention or link in them."""
    for shown in all_forms(text):
        assert check_view(shown) == []
        for found, words_ in strings(shown["blocks"]):
            assert found.get("type") != "mrkdwn" or not LIVE.search(words_), words_
            assert found.get("type") != "mrkdwn" or found.get("verbatim")


@settings(max_examples=40, deadline=None)
@given(ODD, st.sampled_from(["step_failed", "step_retrying", "step_unknown", "late_result", "vote", "paused"]))
def test_the_thread_is_safe_too(text: str, kind: str) -> None:
    """The same holds for every line of the thread."""
    data = {"message": text, "comment": text, "reason": text, "decision": text, "attempt": 3, "delay_ms": 5}
    line = thread.line(event(kind, text, text, **data), view())
    assert line is not None
    assert not LIVE.search(check(said(line)).text)


def test_what_nobody_sees_is_shown_as_escapes() -> None:
    """Wherever a text can stand, in messages and forms, and in the line that a notification shows."""
    shown = [text for message in all_views(HIDDEN) for _, text in [*strings(message.blocks), ({}, message.text)]]
    shown += [text for form in all_forms(HIDDEN) for _, text in strings(form)]
    for text in shown:
        assert not set(text) & set("\u202e\u200b\x1b\u2066\xad\ufeff"), text
    assert sum("b\\u200bc\\x1b[2Jd" in text for text in shown) > 20


def test_long_texts_are_cut_not_refused() -> None:
    """Ten thousand characters anywhere still make messages that Slack takes."""
    for text in ("x" * 10_000, "&" * 10_000, "😀" * 5_000, "line\n" * 3_000):
        for message in all_views(text):
            check(message)


@pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 200])
@pytest.mark.parametrize("plan", [True, False])
def test_any_number_of_steps_fits(count: int, plan: bool) -> None:
    """Up to 50 steps are all shown; of more, those that matter, and a line that counts the rest."""
    steps = tuple(
        step(n, status=StepStatus.SUCCESS, ended_at=AT, outputs={"status": 200, "text": "y" * 500})
        for n in range(count)
    )
    steps = (*steps[:-1], replace(steps[-1], status=StepStatus.FAILED, error={"code": "x", "message": "z" * 900}))
    message = check(card.card(view(steps), plan=plan))
    assert f"step-{count - 1}" in json.dumps(message.blocks)
    assert ("more steps" in json.dumps(message.blocks)) == (count > 50)
    assert len(json.dumps(message.blocks, ensure_ascii=False)) < 26_000


@pytest.mark.parametrize("plan", [True, False])
def test_rounds_that_are_done_are_only_counted(plan: bool) -> None:
    """Of a long loop the card shows the rounds that still want looking at; of a short one all of them."""

    def shown_of(rounds: int) -> str:
        loop = step(
            1,
            path="each",
            step_id="each",
            kind="loop",
            status=StepStatus.WAITING,
            items=[f"h{n}" for n in range(30)],
            rounds=rounds,
        )
        inner = [
            step(100 + n, path=f"each[{n}].call", step_id="call", scope=f"each[{n}]", status=StepStatus.SUCCESS)
            for n in range(rounds)
        ]
        inner[2] = replace(inner[2], status=StepStatus.FAILED, error={"code": "x", "message": "gone"})
        return json.dumps(check(card.card(view((loop, *inner)), plan=plan)).blocks, ensure_ascii=False)

    long = shown_of(30)
    assert "29 rounds done" in long
    assert "call · h2" in long
    assert "call · h7" not in long
    short = shown_of(5)
    assert "call · h4" in short
    assert "rounds done" not in short


def plan_of(message: Message) -> dict[str, Any]:
    """The plan block of a card."""
    return next(block for block in message.blocks if block["type"] == "plan")


def task_of(message: Message) -> dict[str, Any]:
    """Its first task card."""
    return plan_of(message)["tasks"][0]


def test_a_failure_that_the_run_puts_up_with_looks_like_one() -> None:
    """Neither red nor done; and the line above counts what is done, not what has ended."""
    shown = view((step(status=StepStatus.FAILED), step(2, status=StepStatus.SUCCESS), step(3)))
    shown = replace(shown, runbook=runbook(steps=(Step("step-1", "http", (), {}, continue_on_error=True),)))
    task = task_of(card.card(shown))
    assert (task["status"], task["title"]) == ("pending", "⚠️ step-1")
    assert "failed, which the run tolerates" in json.dumps(task)
    assert plan_of(card.card(shown))["title"] == "1 of 3 steps done, 1 failed"


def test_a_healthy_step_shows_what_the_runbook_names_and_no_raw_answer() -> None:
    """Its declared outputs, else how it was answered."""
    answered = step(status=StepStatus.SUCCESS, outputs={"status": 200, "json": {"deeply": {"nested": ["a"]}}})
    given = task_of(card.card(view((answered,))))["output"]
    assert given["elements"][0]["elements"] == [{"type": "text", "text": "200"}]
    named = view((step(status=StepStatus.SUCCESS, outputs={"machine": "vm-7", "status": "up"}),))
    telling = Step("step-1", "http", (), {}, outputs={"machine": "{{ response.json.id }}"})
    told = task_of(card.card(replace(named, runbook=runbook(steps=(telling,)))))["output"]
    assert told["elements"][0]["elements"] == [{"type": "text", "text": "machine: vm-7, status: up"}]


def test_a_running_card_says_since_when_and_which_gate_is_next() -> None:
    """The next gate is named until it opens; an ended run says how long it took."""
    coming = (step(status=StepStatus.RUNNING), step(2, path="sign-off", kind="approval"))
    told = words(check(card.card(view(coming))))
    assert "under way <!date^1795000000^since {time}, {ago}|" in told
    assert "next gate: `sign-off`" in told
    assert "next gate" not in words(check(card.card(view(coming, (gate(),)))))
    assert "under way" not in words(check(card.card(view(coming, status=ExecutionStatus.SUCCESS, ended_at=AT))))


def test_a_gate_rings_those_who_can_still_decide_and_the_card_nobody() -> None:
    """Few by name, many by their groups; a quiet gate mentions nobody, whoever its runbook names."""
    few = Calling(("U0ALICE01", "U0DAVE001"), more=False, groups=("S0ONCALL",), how="all")
    many = Calling(("U0ALICE01",) * 5, more=True, groups=("S0ONCALL",), how="channel")
    assert "📣 <@U0ALICE01>, <@U0DAVE001> can decide." in words(check(gate_post(gate(), few)))
    assert "📣 <!subteam^S0ONCALL> can decide." in words(check(gate_post(gate(), many)))
    for how in ("none", "direct"):
        quiet = words(check(gate_post(gate(), replace(few, how=how))))
        assert "<@" not in quiet
        assert "<!subteam" not in quiet
    assert "U0ALICE01" not in words(check(card.card(view(gates=(gate(),), requester="U0CAROL01"))))
    stuck = replace(few, people=(), stuck="2 more approvals needed, and nobody can still decide")
    warned = words(check(gate_post(gate(), stuck)))
    assert "this gate cannot pass:* 2 more approvals needed, and nobody can still decide." in warned
    assert "can decide." not in warned


def test_the_states_of_steps_are_said_in_words() -> None:
    """Every state has words of its own, and the task card's status fits it."""
    statuses = {
        StepStatus.BLOCKED: ("pending", "not started"),
        StepStatus.READY: ("pending", "about to start"),
        StepStatus.RUNNING: ("in_progress", "running"),
        StepStatus.WAITING: ("pending", "waiting"),
        StepStatus.UNKNOWN: ("pending", "outcome unknown"),
        StepStatus.SUCCESS: ("complete", ""),
        StepStatus.FAILED: ("error", "failed"),
        StepStatus.SKIPPED: ("pending", "skipped"),
        StepStatus.CANCELLED: ("pending", "cancelled while it ran"),
    }
    assert set(statuses) == set(StepStatus)
    for status, (task_status, said_as) in statuses.items():
        task = task_of(card.card(view((step(status=status, started_at=AT),))))
        assert task["status"] == task_status
        icons = {"WAITING": "✋ ", "UNKNOWN": "❓ ", "SKIPPED": "⏭️ ", "CANCELLED": "⛔ "}
        assert task["title"] == f"{icons.get(status, '')}step-1 · Drain it"
        assert said_as in json.dumps(task.get("details", ""))
        assert ("details" in task) == bool(said_as)


@pytest.mark.parametrize(
    ("given_step", "run", "said_as"),
    [
        ({"status": StepStatus.WAITING, "kind": "approval"}, {}, "waiting for approval"),
        ({"status": StepStatus.RUNNING, "attempts": 3}, {}, "running, try 3"),
        ({"status": StepStatus.READY, "attempts": 2}, {}, "about to be tried again, 2 so far"),
        ({"status": StepStatus.READY, "attempts": 2, "kind": "poll"}, {}, "checking, 2 times so far"),
        ({"status": StepStatus.FAILED, "error": {"code": "rejected", "message": "m"}}, {}, "rejected"),
        ({"status": StepStatus.BLOCKED}, {"status": ExecutionStatus.FAILED}, "never started"),
        ({"status": StepStatus.CANCELLED, "ended_at": AT}, {"status": ExecutionStatus.CANCELLED}, "never started"),
        ({"status": StepStatus.CANCELLED, "ended_at": AT}, {"status": ExecutionStatus.CANCELLED}, "0 of 1 steps done"),
    ],
)
def test_the_finer_states_are_said_too(given_step: dict[str, Any], run: dict[str, Any], said_as: str) -> None:
    """What a bare status does not tell is in the details."""
    assert said_as in json.dumps(plan_of(card.card(view((step(**given_step),), **run))))


def test_a_gate_that_passed_names_who_approved() -> None:
    """People stand in a task card as people, and in lines as mentions; no JSON and no second "done"."""
    passed = step(
        kind="approval", status=StepStatus.SUCCESS, ended_at=AT, outputs={"approved_by": ["U0ALICE01", "U0DAVE001"]}
    )
    task = task_of(check(card.card(view((passed,)))))
    assert "details" not in task
    assert task["output"]["elements"][0]["elements"] == [
        {"type": "text", "text": "approved by "},
        {"type": "user", "user_id": "U0ALICE01"},
        {"type": "text", "text": ", "},
        {"type": "user", "user_id": "U0DAVE001"},
    ]
    assert "approved by <@U0ALICE01>, <@U0DAVE001>" in words(check(card.card(view((passed,)), plan=False)))


def test_parameters_stand_in_the_runbooks_order() -> None:
    """Not in the order in which somebody typed them."""
    whole = view(parameters={"z": 1, "grace": 2, "service": "api"})
    book = runbook({"type": "object", "properties": {"service": {}, "grace": {}}})
    assert "`service=api grace=2 z=1`" in words(card.card(replace(whole, runbook=book)))


def test_a_list_begins_with_what_this_person_may_run() -> None:
    """Only those have a button; each says one sentence, cut between words."""
    first = runbook_record(slug="a", description="Stops it. And then much more.")
    second = runbook_record(slug="b", description="word " * 60)
    blocks = check(lists.runbooks_view([first, second], "/runbook", {"b"})).blocks
    assert ["accessory" in block for block in blocks] == [True, False]
    assert "word…" in blocks[0]["text"]["text"]
    assert "Stops it.\n" in blocks[1]["text"]["text"]


def test_a_withdrawal_says_all_that_it_did() -> None:
    """Every version, every run it stops, why, and the way back."""
    gone = [version(number=2), version(number=1)]
    told = words(check(admin.deprecated_view("restart", gone, ["R-AB"], "wrong host", "/runbook")))
    for part in (
        "`restart@1`, `restart@2` are deprecated",
        "wrong host",
        "`R-AB`",
        "`/runbook admin rollback restart`",
    ):
        assert part in told
    assert "rollback" not in words(admin.deprecated_view("restart", gone, [], "", None))


def test_a_sync_names_files_without_their_folder() -> None:
    """The bare name is code, the rest plain text."""
    report = SyncReport((), (Problem("/srv/books/a.yaml", 3, 5, "`stpes` is not known here"),), 0)
    assert "`a.yaml` line 3, column 5: `stpes` is not known here" in words(admin.sync_view(report, "/runbook"))


def test_a_refusal_says_what_to_type_here() -> None:
    """The engine names the verb, and the view puts in front of it what reaches this bot; other code stays."""
    refused = Conflict("demo@1 is deprecated. `admin rollback demo` brings `demo` back, `runs all` lists runs.")
    told = words(errors.refusal(refused, "@runbook"))
    assert "`@runbook admin rollback demo` brings `demo` back, `@runbook runs all` lists" in told


def test_a_refusal_says_what_the_names_are_of() -> None:
    """A value that does not fit is one of a run's parameters, of a form's answers, or of what is being made."""
    assert words(errors.refusal(InvalidParameters({"x": "no"}), "/runbook")).startswith("The parameters do not fit:")
    with pytest.raises(InvalidParameters) as of_a_freeze:
        freeze_times.end("noon", "", None, 0)
    assert words(errors.refusal(of_a_freeze.value, "/runbook")).startswith("The options of the freeze do not fit:")
    with pytest.raises(InvalidParameters) as of_a_form:
        forms.answered({"type": "object", "properties": {}}, {"x": 1})
    assert words(errors.refusal(of_a_form.value, "/runbook")).startswith("The answers do not fit:")


def test_a_card_says_what_the_rehearsal_came_to() -> None:
    """How many passed, which failed, what is covered, and how the way has changed; however much that is."""
    case = {"name": "<!here> fails", "failures": ["outcome: expected SUCCESS, and it was FAILED " + "x" * 3_000]}
    result = {"cases": [case] * 200, "problems": [], "points": 9, "missed": ["a"] * 2}
    told = list(rehearsal_words.lines(result, [f"“case {n}”: + drained" for n in range(200)]))
    shown = words(check(admin.change_view(version(), "a", [], offer=True, rehearsed=told)))
    for part in ("Rehearsed", "0 passed, 200 failed; 7 of 9 steps", "195 cases more fail", "“case 4”: + drained"):
        assert part in shown
    assert "<!here>" not in shown
    assert "Rehearsed" not in words(admin.change_view(version(), "a", [], offer=True))


def test_a_first_version_says_that_it_is_the_whole_file() -> None:
    """Without a version to compare with there is no change to show."""
    assert "First version: the whole file" in words(admin.change_view(version(), "a", [], offer=True, first=True))


def test_buttons_are_there_while_they_can_do_something() -> None:
    """A running card offers Cancel, an open gate and an unknown step their choices; an ended one nothing."""

    def offered(message: Message) -> list[str]:
        rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
        return [button["action_id"] for row in rows for button in row]

    running = ["run.pause", "run.cancel", "run.why", "run.logs", "run.skip"]
    assert offered(card.card(view())) == running
    assert offered(card.card(view(gates=(gate(),)))) == [*running, "gate.approve", "gate.reject"]
    long = [{"step": f"s{n}", "kind": "http", "method": "POST", "url": f"https://a.example/{n:050}"} for n in range(20)]
    assert offered(card.card(view(gates=(gate(preview=long),)))) == [*running, "gate.review"]
    assert "https://a.example/restart" in words(card.card(view(gates=(gate(),))))
    assert offered(gate_post(gate())) == ["gate.approve", "gate.reject"]
    unknown = view((step(status=StepStatus.UNKNOWN),))
    assert offered(card.card(unknown)) == [*running, "step.retry", "step.done", "step.failed"]
    assert offered(card.card(unknown, live=False)) == []
    for status in (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
        why_not = [] if status is ExecutionStatus.SUCCESS else ["run.why"]
        assert offered(card.card(view(status=status, ended_at=AT + 5000))) == why_not
    assert offered(gate_post(gate(ApprovalStatus.APPROVED, (vote(),)))) == []


@pytest.mark.parametrize("plan", [True, False])
def test_who_said_it_is_named(plan: bool) -> None:
    """A step that somebody settled names the person, not an id; what else looks like an id is text."""
    done = step(status=StepStatus.SUCCESS, note="done, said by U0CAROL01: told by U0EVIL0001 <!here>")
    shown = json.dumps(check(card.card(view((done,)), plan=plan)).blocks, ensure_ascii=False)
    assert ('{"type": "user", "user_id": "U0CAROL01"}' if plan else "said by <@U0CAROL01>: told by U0EVIL0001") in shown
    assert "<@U0EVIL0001>" not in shown


STAYS = ("run.cancel", "run.why", "run.logs")


@pytest.mark.parametrize(
    ("run", "steps", "possible"),
    [
        ({"status": ExecutionStatus.PAUSED}, (step(),), ["run.resume", *STAYS, "run.skip"]),
        ({}, (step(status=StepStatus.RUNNING),), ["run.pause", *STAYS]),
        ({}, (step(kind="approval", status=StepStatus.WAITING),), ["run.pause", *STAYS]),
        ({}, (step(kind="loop", status=StepStatus.WAITING, started_at=AT),), ["run.pause", *STAYS]),
        ({"pending_result": ExecutionStatus.FAILED}, (step(),), ["run.pause", *STAYS]),
        ({"pending_result": ExecutionStatus.CANCELLED}, (step(),), ["run.pause", "run.end", "run.why", "run.logs"]),
        (
            {"pending_result": ExecutionStatus.FAILED, "phase": Phase.FINALLY},
            (step(phase=Phase.FINALLY),),
            ["run.pause", "run.end", "run.why", "run.logs", "run.skip"],
        ),
        (
            {"status": ExecutionStatus.FAILED},
            (step(status=StepStatus.FAILED, attempts=1),),
            ["run.retry", "run.why", "run.logs", "run.skip"],
        ),
        (
            {"status": ExecutionStatus.FAILED},
            (step(status=StepStatus.FAILED, kind="approval"),),
            ["run.retry", "run.why"],
        ),
        (
            {"status": ExecutionStatus.FAILED},
            (step(status=StepStatus.FAILED), step(2, phase=Phase.UNDO, status=StepStatus.SUCCESS)),
            ["run.why"],
        ),
    ],
)
def test_the_card_offers_what_is_possible_now(run: dict[str, Any], steps: tuple[Any, ...], possible: list[str]) -> None:
    """Each state has its own buttons; a gate is never to be skipped, and nothing goes on once undo has begun."""
    message = check(card.card(view(steps, **run)))
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    assert [button["action_id"] for row in rows for button in row] == possible


def test_several_failed_steps_have_a_button_each() -> None:
    """Slack takes no two elements of one action_id in a row."""
    broken = tuple(step(n, status=StepStatus.FAILED, error={"code": "x", "message": "y"}) for n in (1, 2, 3))
    shown = check(card.card(view(broken, status=ExecutionStatus.FAILED, ended_at=AT)))
    row = next(block["elements"] for block in shown.blocks if block["type"] == "actions")
    assert [each["action_id"] for each in row if "retry" in each["action_id"]] == [
        "run.retry",
        "run.retry:1",
        "run.retry:2",
    ]


def test_inner_steps_stand_behind_what_holds_them() -> None:
    """Rounds are in order of number, not of spelling; cleanup comes last and is named."""
    steps = (
        step(1, path="after", position=1),
        step(2, path="each", position=0, kind="loop", status=StepStatus.WAITING, items=list("abcdefghijkl"), rounds=11),
        step(3, path="each[10].check", scope="each[10]", position=0),
        step(4, path="each[2].route", scope="each[2]", position=1, kind="branch"),
        step(5, path="each[2].check", scope="each[2]", position=0),
        step(6, path="each[2].route.go", scope="each[2].route", position=0),
        step(7, path="after.undo", scope="", position=0, phase=Phase.UNDO),
    )
    tasks = plan_of(card.card(view(steps)))["tasks"]
    assert [task["title"].removesuffix(" · Drain it") for task in tasks] == [
        "▶️ each", "check · c", "route · c", "route.go · c", "check · k", "after", "Undo: after.undo",
    ]  # fmt: skip
    assert "under way, 11 of 12 rounds begun" in json.dumps(tasks[0])


@pytest.mark.parametrize(
    ("run", "steps", "said_as"),
    [
        ({"status": ExecutionStatus.PENDING}, (), "About to start"),
        ({"status": ExecutionStatus.PENDING, "slot": "queued"}, (), "Queued"),
        ({"status": ExecutionStatus.WAITING}, (step(kind="approval", status=StepStatus.WAITING),), "for a decision"),
        ({"status": ExecutionStatus.WAITING}, (step(kind="wait", status=StepStatus.WAITING),), "Waiting for an event"),
        ({"pending_result": ExecutionStatus.FAILED, "phase": Phase.UNDO}, (), "Failing, undoing"),
        ({"pending_result": ExecutionStatus.CANCELLED}, (), "Cancelling"),
        ({"pending_result": ExecutionStatus.SUCCESS, "phase": Phase.FINALLY}, (), "Finishing"),
        (
            {"pending_result": ExecutionStatus.FAILED, "phase": Phase.ON_FAILURE, "status": ExecutionStatus.PAUSED},
            (),
            "Failing, handling the failure, paused",
        ),
    ],
)
def test_the_state_of_a_run_is_said_truly(run: dict[str, Any], steps: tuple[Any, ...], said_as: str) -> None:
    """What it waits for, and what it still does while its result is fixed already."""
    assert card.card(view(steps, **run)).blocks[0]["text"]["text"].endswith(said_as)


def test_a_list_does_not_say_what_it_does_not_know() -> None:
    """Without its steps nobody can tell what a run waits for."""
    assert "✋ `R-7K2M9Q` Waiting · " in words(lists.runs_view([execution(status=ExecutionStatus.WAITING)]))


def test_a_queued_run_says_behind_whom() -> None:
    """The group and who holds its slots are on the card; so is why a run is paused."""
    queued = view(status=ExecutionStatus.PENDING, slot="queued", slot_group="restart-api")
    told = words(check(card.card(replace(queued, ahead=("R-AAAAAA", "R-BBBBBB")))))
    assert "*Queued* for `restart-api`, behind `R-AAAAAA`, `R-BBBBBB`." in told
    by_hand = words(card.card(view(status=ExecutionStatus.PAUSED, paused_reason="paused by hand")))
    assert "*Paused* by hand." in by_hand
    assert "paused by hand" not in by_hand
    assert "*Paused:* look" in words(card.card(view(status=ExecutionStatus.PAUSED, paused_reason="look")))


def test_time_is_told_apart() -> None:
    """An ended run says how long it ran, waited and was paused."""
    spent = {"running_ms": 5_000, "waiting_ms": 60_000, "paused_ms": 0}
    told = words(card.card(view(status=ExecutionStatus.SUCCESS, ended_at=AT + 65_000, **spent)))
    assert "took 1 min 5 s (5 s running, 1 min waiting)" in told


def test_a_gate_names_the_minima_it_lacks() -> None:
    """Who has to be among the approvers, and who of them is still missing."""
    approvers = {"minima": [{"group": "db-owners", "count": 1}, {"role": "responder", "count": 2}]}
    told = words(check(gate_post(gate(approvers=approvers, unmet=("1 of group db-owners",)))))
    assert "needs 2 approvals, has 0; still missing 1 of group db-owners" in told
    assert "at least 1 of @db-owners, at least 2 of responders" in told


def test_what_a_message_step_says_is_text() -> None:
    """It mentions nobody; and where its channel is closed to the bot, the thread says so."""
    happened = event("message", text="*Done* <!channel>", channel="C0GENERAL", thread=False)
    assert words(check(thread.message(happened))) == "*Done* &lt;!channel&gt;"
    assert "could not be posted in <#C0GENERAL>" in words(check(thread.unposted(happened, "C0GENERAL")))


def test_a_card_says_who_why_and_how_long() -> None:
    """The small print names the version, who asked, the reason and the time it took."""
    told = words(card.card(view(status=ExecutionStatus.FAILED, ended_at=AT + 125_000, reason="it hangs")))
    for part in ("Restart a service · R-7K2M9Q · Failed", "restart@3", "<@U0CAROL01>", "it hangs", "took 2 min 5 s"):
        assert part in told
    assert "<!date^1795000000^" in told


def test_an_open_gate_says_all_that_is_needed_to_decide() -> None:
    """What is asked, what follows, who may decide, how many are missing, until when."""
    told = words(gate_post(gate(votes=(vote(comment="fine"),))))
    for part in (
        "Restart?",
        "restart: POST https://a.example/restart",
        "needs 2 approvals, has 1",
        "platform admins, a user group, @oncall, a person by name",
        "<@U0ALICE01> approved: “fine”",
        "open until",
        "then the run fails",
    ):
        assert part in told


def test_a_gate_says_what_every_kind_of_step_would_do() -> None:
    """Where a call goes, what a child gets, and the steps of a loop below it; too much is counted."""
    grpc = {"step": "call", "kind": "grpc", "target": "a.example:443", "service": "a.B", "method": "C"}
    child = {"step": "child", "kind": "runbook", "id": "failover", "params": {"db": "pay"}}
    calls = [{"step": f"get-{n}", "kind": "http", "method": "GET", "url": "https://a.example/"} for n in range(20)]
    loop = {"step": "all", "kind": "loop", "items": ["a", "b"], "steps": [*calls, "… and 2 more, not shown here"]}
    shown = words(check(gate_post(gate(preview=[grpc, child, loop]))))
    for line in (
        "call: grpc a.example:443 a.B C",
        "child: runbook failover",
        '  params: {"db": "pay"}',
        "all: loop",
        '  items: ["a", "b"]',
        "    get-0: GET https://a.example/",
        "    … and 2 more, not shown here",
    ):
        assert f"\n{line}\n" in shown.replace("```", "\n")
    nested = {"step": "outer", "kind": "branch", "if": "true", "then": [loop] * 20, "else": [loop] * 20}
    assert "more characters are not shown here" in words(check(gate_post(gate(preview=[nested]))))


LONG_STATEMENT = "SELECT 1; " * 130 + "DELETE FROM audit"


@pytest.mark.parametrize(
    "given_gate",
    [
        {"preview": [{"step": "sql", "kind": "http", "method": "POST", "url": "https://a/", "json": LONG_STATEMENT}]},
        {"message": LONG_STATEMENT},
        {"preview": [{"step": f"s{n}", "kind": "http", "url": "https://a/", "json": "x" * 500} for n in range(300)]},
        {"preview": [{"step": "sql", "kind": "http", "url": "https://a/" + "x" * 2000}]},
    ],
)
def test_nobody_votes_on_what_was_not_opened(given_gate: dict[str, Any]) -> None:
    """A message that leaves something out says how much and has no vote; all of it is in the window that it opens."""
    cut_off = gate(**given_gate)
    for drawn in (
        gate_post(cut_off),
        Message("card", tuple(block.to_dict() for block in gate_blocks(cut_off, brief=True))),
    ):
        told = words(check(drawn))
        count = re.search(r"\*([\d,]+) more characters are not shown here", told)
        assert count is not None
        assert int(count[1].replace(",", "")) > 100
        assert buttons(drawn.blocks) == ["gate.review"]
    found: list[str] = []
    for page in range(len(parts(cut_off.approval))):
        window = form.gate_form(cut_off, "U0CAROL01", page=page)
        assert check_view(window) == []
        last = page == len(parts(cut_off.approval)) - 1
        assert buttons(window["blocks"]) == (["gate.approve", "gate.reject"] if last else ["gate.part"])
        found += [block["text"]["text"][4:-4] for block in window["blocks"] if "```" in str(block.get("text"))]
    whole = "".join(found)
    shown = [str(value) for each in given_gate.get("preview", []) for value in each.values()]
    assert all(value in whole for value in [given_gate.get("message", ""), *shown])


def test_what_is_short_is_decided_in_its_message() -> None:
    """Nothing is left out, so the buttons stand below it, and texts are shown as they are sent."""
    short = gate(preview=[{"step": "s", "kind": "http", "url": "https://a/", "json": "a  b\n\u202e c"}])
    shown = gate_post(short)
    assert buttons(shown.blocks) == ["gate.approve", "gate.reject"]
    assert r'json: "a  b\n' in words(shown)
    assert "\u202e" not in words(shown)
    assert "202e" in words(shown).lower()


def buttons(blocks: Any) -> list[str]:
    return [each["action_id"] for block in blocks if block["type"] == "actions" for each in block["elements"]]


def test_a_diff_is_shown_whole_or_says_that_it_is_not() -> None:
    """No line of a change hides behind a cut, however it is written."""
    diff = "\n".join(f"+{'&' * 300}{n}" for n in range(8))
    told = words(check(admin.change_view(version(), diff, [], offer=True)))
    hidden = re.search(r"\*([\d,]+) more characters are not shown", told)
    assert hidden is not None
    shown = sum(told.count(mark) for mark in ("&amp;",))
    assert shown + int(hidden.group(1).replace(",", "")) >= 8 * 300
    whole = words(check(admin.change_view(version(), "+a <b>\n-c", ["careful"], offer=False)))
    assert "+a &lt;b&gt;\n-c" in whole
    assert "careful" in whole


@pytest.mark.parametrize(
    ("happened", "told"),
    [
        (event("started", None, reason="it hangs"), None),
        (event("step_started", attempt=1), None),
        (event("step_succeeded"), None),
        (event("step_skipped", actor=None, reason="no"), None),
        (event("step_skipped", reason="skipped by U0ALICE01: by hand"), "⏭️ <@U0ALICE01> skipped *restart*: by hand"),
        (event("step_retried", reason="", changed=False), "🔁 <@U0ALICE01> had *restart* tried again."),
        (
            event("step_retried", reason="typo", changed=True),
            "🔁 <@U0ALICE01> had *restart* tried again with other parameters: typo",
        ),
        (event("paused", None, reason="paused by hand"), "⏸️ <@U0ALICE01> paused this run."),
        (event("paused", None, None, reason="deprecated"), "⏸️ Paused: deprecated"),
        (event("resumed", None, reason="fine now"), "▶️ <@U0ALICE01> resumed this run: fine now"),
        (event("phase_started", None, None, phase="undo"), "↩️ Undoing what was done."),
        (event("phase_started", None, None, phase="finally"), "🧹 Running the steps that always run."),
        (event("child_started", actor=None, execution="R-AB", runbook="b"), "🧩 *restart* started `R-AB` (`b`)."),
        (event("queued", None, None, group="g", behind=["R-AB"]), "⏳ Queued for `g`, behind `R-AB`."),
        (event("vote_withdrawn"), "↩️ <@U0ALICE01> took their vote on *restart* back."),
        (event("event_received", actor=None), "📨 The event came that *restart* waited for."),
        (event("cleanup_ended", None, reason="enough"), "⛔ <@U0ALICE01> ended the cleanup: enough"),
        (event("gate_approved"), None),
        (event("step_retrying", attempt=1, delay_ms=1000, message="m"), None),
        (
            event("step_retrying", attempt=1, delay_ms=60_000, message="m"),
            "🔁 *restart* failed once; next try in 1 min: m",
        ),
        (
            event("step_retrying", attempt=2, delay_ms=1000, message="m"),
            "🔁 *restart* failed 2 times; next try in 1 s: m",
        ),
        (
            event("step_failed", code="http_status", message="said 500", attempt=4),
            "❌ *restart* failed after 4 tries: said 500",
        ),
        (event("step_failed", code="rejected", message="m", attempt=1), None),
        (event("step_resolved", choice="done", note="saw it"), "🧭 *restart*: <@U0ALICE01> marked it done: saw it"),
        (
            event("vote", decision="APPROVE", comment="", approvals=1, needed=2),
            "👍 <@U0ALICE01> approved *restart* (1 of 2).",
        ),
        (
            event("vote", decision="REJECT", comment="no", approvals=0, needed=2),
            "👎 <@U0ALICE01> rejected *restart*: no",
        ),
        (event("gate_expired"), "⌛ Nobody decided *restart* in time."),
        (event("cancel_requested", None, reason=""), "⛔ <@U0ALICE01> asked to cancel."),
        (event("ended", None, status="SUCCESS"), "✅ Succeeded after 1 min 5 s."),
        (event("ended", None, status="CANCELLED"), "⛔ Cancelled after 1 min 5 s."),
        (event("ended", None, status="FAILED"), "❌ Failed after 1 min 5 s: time is up"),
        (event("something_new"), None),
    ],
)
def test_the_thread_tells_what_matters(happened: Any, told: str | None) -> None:
    """Each event has its line, and healthy steps have none."""
    assert thread.line(happened, view(error={"code": "timeout", "message": "time is up"})) == told


def test_the_end_is_summed_up() -> None:
    """How it ended, how the time was spent, and the steps that took longest."""
    done = {"status": StepStatus.SUCCESS, "started_at": AT}
    steps = (step(1, ended_at=AT + 40_000, **done), step(2, ended_at=AT + 65_000, **done), step(3))
    whole = view(steps, status=ExecutionStatus.SUCCESS, ended_at=AT + 65_000, running_ms=40_000, waiting_ms=25_000)
    told = thread.line(event("ended", None, status="SUCCESS"), whole)
    assert told == (
        "✅ Succeeded after 1 min 5 s (40 s running, 25 s waiting).\nLongest: `step-2` 1 min 5 s, `step-1` 40 s."
    )


def test_everything_that_happens_is_told_somewhere() -> None:
    """Each kind of event has words for pages and terminals, and a line in the thread unless the card says enough."""
    root = Path(__file__).parents[2] / "engine"
    kinds = {
        kind for path in root.rglob("*.py") for kind in re.findall(r"\.record_event\(\s*\"(\w+)\"", path.read_text())
    }
    assert {"started", "gate_reminder", "ended"} <= kinds
    assert kinds <= set(event_text._SAID)
    own_messages = {"gate_opened", "gate_changed", "gate_reminder", "skip_requested", "message", "ended"}
    own_messages |= {"task_opened", "task_reminder"}
    on_the_card = {
        "step_started", "step_succeeded", "step_reused", "gate_approved", "gate_rejected", "branch_taken",
        "wait_started",
    }  # fmt: skip
    assert kinds - set(thread._ICONS) == own_messages | on_the_card


@pytest.mark.parametrize("kind", sorted(thread._ICONS))
def test_the_thread_says_what_a_terminal_says(kind: str) -> None:
    """In the same words, whatever the markup around them."""
    facts = {
        "attempt": 2, "delay_ms": 1000, "reason": "skipped by U0ALICE01: why", "message": "m", "comment": "c",
        "choice": "done", "note": "n", "decision": "APPROVE", "approvals": 1, "needed": 2, "phase": "undo",
        "group": "g", "behind": ["R-1"], "execution": "R-2", "runbook": "b", "key": "k",
        "sender": "ci", "was": "U0BOB0001", "by": "U0CAROL01", "gates": ["ok"],
        "changes": [{"name": "n", "old": 1, "new": 2}],
    }  # fmt: skip
    happened = event(kind, **facts)
    shown = (thread.line(happened, view()) or "").partition(" ")[2].splitlines()[0]
    unmarked = re.sub(r"<@(\w+)>", r"\1", shown).replace("*", "").replace("`", "")
    said = event_text.told(kind, happened.path, happened.actor, facts)
    assert unmarked.removesuffix(".").lower() == said.removesuffix(".").lower()


def test_a_failure_at_a_step_is_told_once() -> None:
    """The end of a run names the step whose message stands above it already."""
    line = thread.line(event("ended", None, status="FAILED"), view(error={"message": "m", "step": "restart"}))
    assert line == "❌ Failed after 1 min 5 s, at *restart*."


def test_lists_are_bounded() -> None:
    """A hundred runbooks and runs still make messages and a Home tab that Slack takes."""
    many = [runbook_record(slug=f"r{n}", description="d" * 400) for n in range(100)]
    assert "80 more" in words(check(lists.runbooks_view(many, "/runbook")))
    assert "No runbook fits" in words(check(lists.runbooks_view([], "/runbook")))
    check(lists.runs_view([execution()] * 50))
    waiting = [Waiting(gate(), execution())] * 20
    crowd = HomeContent(waiting, [execution()] * 50, [execution()] * 50, many, {"r1"}, ["t"] * 300, ["g" * 80] * 3)
    for page in (0, 3, 99):
        view_ = home_view(crowd, HomeState(page=page), "/runbook")
        assert check_view(view_) == []
        assert len(view_["blocks"]) < 60
    check(lists.help_view("/runbook"))
    told = words(check(lists.help_view("/runbook", (grammar.verb("run"),))))
    assert "admin deprecate" not in told
    assert 'For example: `/runbook run restart-checkout service=checkout reason="hangs since 9:12"`' in told


def test_the_short_forms_are_valid() -> None:
    """The two small modals, and what takes a form's place, are views that Slack takes."""
    for shown in (
        form.reject_form(RejectForm("R-7K2M9Q", "sign-off", "sha256:abc", "C0INC0001")),
        form.resolve_form(ResolveForm("R-7K2M9Q", "restart", 1, "done", "C0INC0001")),
        form.skip_form(SkipForm("R-7K2M9Q", "C0INC0001"), [f"each[{n}].check" for n in range(200)] + ["x" * 200]),
        form.skip_form(SkipForm("R-7K2M9Q", "C0INC0001"), ["restart"]),
        form.refused_view("Not possible", "This is over."),
        form.run_form(runbook(risk="high"), RunForm("restart", 3, "C0INC0001", "inc"), {}, "", {"": "odd", "a": "b"}),
    ):
        assert check_view(shown) == []


def test_records_made_for_tests_are_whole() -> None:
    """The helper fills every field, so that no view is tested with less than the engine gives."""
    assert make(type(execution()), id="R-1").id == "R-1"
