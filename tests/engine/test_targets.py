"""Targets: a call names a system, and what that is stands in one file that is approved with the runbooks using it."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from harness import ALICE, CAROL, DAVE, Harness, Target, http, poll, runbook

from engine.access import targets_file
from engine.catalog import catalog, renewals, version_approval
from engine.definition import targets
from engine.definition.load import examine
from engine.definition.reaches import reaches
from engine.definition.target_cautions import cautions
from engine.egress import CallFailed, Policy, parse_allow
from engine.errors import Conflict, NotApproved
from engine.orchestration.admission import Override, Wanted
from engine.queries import can
from engine.runs import break_glass, controls, executions
from storage.states import ExecutionStatus

HEADERS = {"X-Place": "here"}


def write(harness: Harness, **said: Any) -> None:
    harness.write(_targets_yaml=json.dumps({"targets": said}))


def call(name: str = "call", target: str = "api", path: str = "/x", **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "http", "with": {"target": target, "path": path, **keys}}


def site(target: Target, **more: Any) -> dict[str, Any]:
    return {"url": target.url(""), **more}


def sent(target: Target, number: int = -1) -> dict[str, str]:
    lines = target.server.requests[number].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def test_a_step_takes_what_its_target_says(harness: Harness, target: Target) -> None:
    """URL, headers and auth come from the file; what the step says itself goes before them."""
    auth = {"type": "bearer", "token": "{{ secrets.canary }}"}
    write(harness, api=site(target, headers={**HEADERS, "X-Team": "sre"}, auth=auth))
    template = {"id": "by_url", "type": "http", "with": {"url": "{{ targets.api.url }}/z?b=1"}}
    run = harness.begin(call(headers={"x-team": "web"}, query={"a": "1"}), template)
    assert harness.run(run) is ExecutionStatus.SUCCESS
    assert target.paths() == ["/x?a=1", "/z?b=1"]
    first, second = sent(target, 0), sent(target, 1)
    assert (first["x-place"], first["x-team"]) == ("here", "web")
    assert first["authorization"] == "Bearer c4nary-b1rd-of-the-m1ne"
    assert "authorization" not in second
    assert "c4nary" not in json.dumps([each.outputs for each in harness.step_runs(run)])


def test_an_environment_is_another_place(harness: Harness, target: Target) -> None:
    said = {"api": {"url": "https://api.example.com", "headers": HEADERS}}
    harness.write(_targets_yaml=json.dumps({"targets": said, "environments": {"staging": {"api": site(target)}}}))
    harness.settle_for(environment="staging")
    run = harness.begin(call())
    assert harness.run(run) is ExecutionStatus.SUCCESS
    assert sent(target)["x-place"] == "here"
    harness.settle_for(environment="stagin")
    problems = harness.sync().problems
    assert any("there is none called `stagin`" in str(each) and "did you mean" in str(each) for each in problems)


def test_a_changed_target_asks_for_approval_before_the_next_start(harness: Harness, target: Target) -> None:
    """Whatever of it changes; others may come, go and change. `can` says the same, and nobody approves unread."""
    write(harness, api=site(target), other={"url": "https://other.example.com"})
    harness.publish(runbook("demo", call()))
    shown = catalog.version(harness.rt, "demo")
    write(harness, api=site(target), another={"url": "https://elsewhere.example.com"})
    assert harness.sync().ok
    assert harness.run(harness.start("demo")) is ExecutionStatus.SUCCESS
    write(harness, api=site(target, headers=HEADERS))
    harness.sync()
    with pytest.raises(NotApproved, match=r"What `api` in _targets.yaml stands for has changed.*admin renew demo"):
        harness.start("demo")
    assert "`api` in _targets.yaml" in can.can(harness.rt, CAROL, "run", "demo").but
    (due,) = renewals.due(harness.rt)
    assert (due.changed, due.expired) == (("api",), True)
    assert any("X-Place" in line for line in due.calls)
    for stale in (shown.digest, f"{shown.digest}+sha256:old"):
        with pytest.raises(Conflict, match="not what you were shown"):
            version_approval.renew(harness.rt, ALICE, "demo", 1, stale)
    version_approval.renew(harness.rt, ALICE, "demo", 1, due.version.digest)
    assert renewals.due(harness.rt) == []
    assert harness.run(harness.start("demo")) is ExecutionStatus.SUCCESS
    assert sent(target)["x-place"] == "here"


def test_a_run_calls_what_was_agreed_to(harness: Harness, target: Target) -> None:
    """A change between two steps, or before a retry, leads a run that is under way nowhere else."""
    write(harness, api=site(target))
    run = harness.begin(call("one"), call("two", path="/two", method="PUT"))
    harness.finish(harness.claim(run))
    evil = Target()
    write(harness, api=site(evil))
    harness.sync()
    assert harness.run(run) is ExecutionStatus.SUCCESS
    assert "/two" in target.paths()
    assert evil.hits == []
    evil.close()


def test_a_change_before_the_first_claim_ends_the_run(harness: Harness, target: Target) -> None:
    write(harness, api=site(target))
    run = harness.begin(call())
    write(harness, api={"url": "https://evil.example.com"})
    harness.sync()
    assert harness.run(run) is ExecutionStatus.FAILED
    assert "has changed since demo@1" in harness.execution(run).error["message"]
    assert target.hits == []


def test_a_failed_run_is_retried_only_where_people_agreed_to(harness: Harness, target: Target) -> None:
    """After a change it waits for the approval of that, and then calls the new place."""
    write(harness, api={"url": "http://127.0.0.1:9"})
    run = harness.begin({**call(), "retry": {"max_attempts": 1}})
    assert harness.run(run) is ExecutionStatus.FAILED
    write(harness, api=site(target))
    harness.sync()
    with pytest.raises(NotApproved, match="has changed since"):
        controls.retry(harness.rt, CAROL, run)
    assert target.hits == []
    version_approval.renew(harness.rt, ALICE, "demo")
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) is ExecutionStatus.SUCCESS


def test_a_vote_is_for_what_was_shown(harness: Harness, target: Target) -> None:
    """With two people needed, the first one's approval does not count for a target that changed before the second."""
    harness.settle_for(definition_approvals=2)
    write(harness, api=site(target))
    harness.sync(demo=runbook("demo", call(), risk="high"))
    version_approval.approve(harness.rt, ALICE, "demo", 1)
    write(harness, api=site(target, headers=HEADERS))
    harness.sync()
    said = version_approval.approve(harness.rt, DAVE, "demo", 1)
    assert said.status == "DRAFT"
    assert version_approval.approve(harness.rt, ALICE, "demo", 1).status == "APPROVED"


def test_break_glass_is_for_what_was_shown(harness: Harness, target: Target) -> None:
    """A draft that two people let run calls what they saw, and after a change they are asked anew."""
    harness.settle_for(break_glass=True)
    write(harness, api=site(target))
    harness.sync(demo=runbook("demo", call()))
    wanted = Wanted("demo", {}, "test", reason="on fire", override=Override(draft=True))
    asked = break_glass.ask(harness.rt, CAROL, wanted)
    write(harness, api=site(target, headers=HEADERS))
    harness.sync()
    with pytest.raises(Conflict, match="Ask anew"):
        break_glass.agree(harness.rt, ALICE, asked.id)
    again = break_glass.ask(harness.rt, CAROL, wanted)
    run = break_glass.agree(harness.rt, ALICE, again.id).execution.id
    write(harness, api={"url": "https://evil.example.com"})
    harness.sync()
    assert harness.run(run) is ExecutionStatus.SUCCESS
    assert sent(target)["x-place"] == "here"


def test_an_unknown_target_is_named_and_not_approved(harness: Harness, target: Target) -> None:
    write(harness, alertmanager=site(target))
    report = harness.sync(demo=runbook("demo", call(target="alertmanger")))
    assert any("no target `alertmanger`; did you mean `alertmanager`?" in str(each) for each in report.problems), report
    with pytest.raises(Conflict, match="cannot call what it names"):
        harness.approve("demo")


@pytest.mark.parametrize("text", ["targets: [", "targets: {api: {}}", "", "nonsense: 1"])
def test_a_broken_file_changes_nothing(harness: Harness, target: Target, text: str) -> None:
    """What ran goes on, the last good targets hold, and the report says what is wrong."""
    write(harness, api=site(target))
    harness.publish(runbook("demo", call()))
    harness.write(_targets_yaml=text)
    assert not harness.sync().ok
    assert harness.run(harness.start("demo")) is ExecutionStatus.SUCCESS
    (harness.folder / "_targets.yaml").unlink()
    assert any("is missing" in str(each) for each in harness.sync().problems)
    assert harness.run(harness.start("demo")) is ExecutionStatus.SUCCESS


def test_a_file_that_was_never_good_opens_nothing(harness: Harness) -> None:
    harness.write(_targets_yaml="targets: [")
    harness.sync(demo=runbook("demo", call()))
    with pytest.raises(Conflict, match="has no target `api`"):
        harness.approve("demo")


def test_private_places_open_to_their_target_alone(harness: Harness, target: Target) -> None:
    """`allow_private` is for the calls that name it; the connection is shared with no other, and nothing else opens."""
    other = Target()
    write(harness, api=site(other, allow_private=True), closed=site(other))
    once = {"retry": {"max_attempts": 1}, "continue_on_error": True}
    plain = http("plain", other.url("/plain"), **once)
    run = harness.begin(call(), {**call("closed", "closed"), **once}, plain, poll("again", other.url("/p"), "true"))
    assert harness.run(run) is ExecutionStatus.FAILED
    assert other.paths() == ["/x"]
    refused = {each.step_id: each.error["code"] for each in harness.step_runs(run) if each.error}
    assert refused == {"closed": "egress_refused", "plain": "egress_refused", "again": "egress_refused"}
    other.close()


def test_what_never_opens_stays_closed(harness: Harness) -> None:
    """Metadata by address is wrong in the file; the guard refuses it by name, and the bot's own database."""
    for url in ("http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://100.100.100.200"):
        write(harness, api={"url": url, "allow_private": True})
        assert any("never opens" in str(each) for each in harness.sync().problems), url
    opened = Policy(own=(("127.0.0.1", 5432),)).also_open(parse_allow("127.0.0.1:5432,[::1]:5432,meta.internal:80"))
    own = [ip_address("127.0.0.1")]
    for host, port, address in (("127.0.0.1", 5432, "127.0.0.1"), ("::1", 5432, "::1")):
        with pytest.raises(CallFailed, match="own database or Redis"):
            opened.check(host, port, [ip_address(address)], own)
    with pytest.raises(CallFailed, match="cloud metadata"):
        opened.check("meta.internal", 80, [ip_address("169.254.169.254")])


WRONG = [
    ({"url": "ftp://x.example.com"}, "must be http"),
    ({"url": "https://u:p@x.example.com"}, "must be http"),
    ({"url": "https://{{ params.x }}.example.com"}, "must be http"),
    ({"url": "https://x.example.com", "headers": {"X-A": "b\r\nX-Evil: 1"}}, "must be on one line"),
    ({"url": "https://x.example.com", "headers": {"X A": "b"}}, "is not the name of a header"),
    ({"url": "https://x.example.com", "headers": {"Host": "evil"}}, "set by the bot"),
    ({"url": "https://x.example.com", "headers": {"X": "{{ params.x }}"}}, "may read secrets only"),
    ({"url": "https://x.example.com", "tls": {"verify": False}}, "not known here"),
    ({"url": "https://x.example.com", "auht": {}}, "did you mean"),
    ({"headers": {}}, "has no `url`"),
    ({"url": "https://x.example.com", "auth": {"type": "bearer"}}, "token"),
]


@pytest.mark.parametrize(("said", "told"), WRONG)
def test_what_is_wrong_with_the_file_is_said_where(tmp_path: Path, said: dict[str, Any], told: str) -> None:
    file = tmp_path / "_targets.yaml"
    file.write_text(json.dumps({"targets": {"api": said}}, indent=1))
    found, problems = targets_file.read(file, "")
    assert found is None
    assert any(told in each.message for each in problems), problems
    assert all(each.line > 1 for each in problems)


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ("target: api, url: 'https://x.example.com'", "not both"),
        ("method: GET", "`url` or a `target`"),
        ("url: 'https://x.example.com', path: /x", "target"),
        ("target: api, path: x", "must begin with /"),
        ("target: Api", "lower-case"),
        ("target: api, path: '/{{ params.nope }}'", "nope"),
        ("url: 'https://x.example.com/{{ targets.api.url }}'", "at the beginning of a `url`"),
        ("target: api, text: '{{ targets.api.url }}'", "at the beginning of a `url`"),
    ],
)
def test_what_is_wrong_with_a_step_is_said(with_: str, told: str) -> None:
    text = f"apiVersion: runbook/v1\nid: demo\nname: Demo\nsteps:\n  - {{id: a, type: http, with: {{{with_}}}}}\n"
    problems = [each.message for each in examine(text.encode(), "demo.yaml").problems]
    assert any(told in each for each in problems), problems


def test_secrets_of_a_target_are_asked_of_its_host() -> None:
    """A reviewer sees the host and the secret that goes there, wherever the step stands."""
    inner = {"id": "loop", "type": "loop", "with": {"items": [1], "steps": [call("inner")]}}
    made = examine(runbook("demo", inner, {**call("outer"), "undo": call()}).encode(), "demo").runbook
    assert made is None  # an undo has no id
    undo = {"type": "http", "with": {"target": "api", "path": "/undo"}}
    made = examine(runbook("demo", inner, {**call("outer"), "undo": undo}).encode(), "demo").runbook
    assert made is not None
    known = {"api": {"url": "https://api.example.com", "headers": {"X-Key": "{{ secrets.key }}"}}}
    found = list(reaches(targets.resolved(made, known)))
    assert {(each.step, each.host, each.secrets) for each in found} == {
        (step, "api.example.com", ("key",)) for step in ("inner", "outer", "outer.undo")
    }


def test_a_vote_at_a_gate_sees_the_place(harness: Harness, target: Target) -> None:
    write(harness, api=site(target))
    ask = {"id": "ask", "type": "approval", "with": {"approvers": {"roles": ["platform_admin"]}, "message": "?"}}
    run = harness.begin(ask, call())
    harness.run(run)
    (gate,) = executions.view(harness.rt, run).gates
    assert target.url("/x") in json.dumps(gate.approval.preview)


@pytest.mark.parametrize(
    ("own", "asked", "lines"),
    [("safe", "plain", [9]), ("plain", "plain", [8]), ("plain", "safe", [8]), ("safe", "safe", [])],
)
def test_a_target_of_a_check_is_asked_the_same(own: str, asked: str, lines: list[int]) -> None:
    known = {"plain": {"url": "http://cache.example.com"}, "safe": {"url": "https://api.example.com"}}
    text = (
        "apiVersion: runbook/v1\nid: demo\nname: Demo\nsteps:\n- id: a\n  type: http\n  idempotent: true\n"
        f"  with: {{method: POST, target: {own}, path: /x}}\n  dry_run: {{target: {asked}, path: /check}}\n"
    )
    examined = examine(text.encode(), "demo.yaml", warned=lambda found: cautions(found, known))
    assert examined.problems == ()
    assert [each.line for each in examined.warnings if each.rule == "plain-http"] == lines


def test_a_target_in_plain_http_is_warned_of_where_it_is_called() -> None:
    """By name and by URL, as a step's own `url` is; not on this machine, nor one that is encrypted or idle."""
    steps = [call("a", "plain"), call("b", "safe"), call("c", "here")]
    steps.append({"id": "d", "type": "http", "with": {"url": "{{ targets.plain.url }}/z"}})
    places = {"plain": "http://cache.example.com:8080", "safe": "https://api.example.com", "here": "http://[::1]:80"}
    known = {name: {"url": url} for name, url in places.items()} | {"idle": {"url": "http://idle.example.com"}}
    examined = examine(runbook("demo", *steps).encode(), "demo.yaml", warned=lambda found: cautions(found, known))
    found = [each for each in examined.warnings if each.rule == "plain-http"]
    assert [each.message.partition(": ")[0] for each in found] == ["step `a`", "step `d`"]
    assert all("target `plain` of _targets.yaml is plain http" in each.message for each in found)
