"""Choices that a system offers: who is asked, with what, how often, and what follows when it cannot be asked."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from harness import ALICE, CAROL, OSCAR, Harness, http, runbook
from local_server import answer, raw, silence

from engine.catalog import catalog
from engine.definition.parameter_options import DEADLINE_MS
from engine.errors import InvalidParameters, NotAllowed, NotApproved, NotFound
from engine.orchestration.admission import Wanted
from engine.runs import break_glass, controls, executions, freezing, held_requests, replay_run
from engine.runs import parameter_options as menus
from engine.runs.executions import request
from storage.records import ExecutionRecord

SERVICES = [{"id": "api", "name": "The API"}, {"id": "web", "name": "The web shop"}]


def says(value: Any, *headers: str) -> Any:
    return answer(json.dumps(value).encode(), "200 OK", "Content-Type: application/json", *headers)


def published(harness: Harness, target: Any, *, rules: dict[str, Any] | None = None, **said: Any) -> None:
    options = {
        "url": target.url("/services"), "items": "{{ response.json.services }}", "value": "{{ item.id }}",
        "label": "{{ item.name }}", **said,
    }  # fmt: skip
    risk = options.pop("risk", "low")
    parameters = {
        "type": "object",
        "properties": {"service": {"type": "string", **(rules or {}), "x-options": options}},
    }
    harness.publish(runbook("demo", http("call", target.url("/call")), parameters=parameters, risk=risk))


def begun(harness: Harness, value: Any, **more: Any) -> ExecutionRecord:
    return request(harness.rt, CAROL, Wanted("demo", {"service": value}, trigger="test", **more), force=False).execution


def labels(harness: Harness, typed: str = "") -> list[str]:
    return [one.label for one in menus.options(harness.rt, CAROL, "demo", "service", typed).options]


def test_what_a_system_offers_is_shown_and_taken(harness: Harness, target: Any) -> None:
    """The list of the answer becomes values and labels; one of them starts a run, and the system is asked once."""
    target.does["/services"] = [says({"services": SERVICES})]
    published(harness, target)
    assert labels(harness) == ["The API", "The web shop"]
    assert labels(harness, "shop") == ["The web shop"]
    assert begun(harness, "web").parameters == {"service": "web"}
    assert target.paths() == ["/services"]


def test_what_is_not_offered_is_refused_with_the_nearest(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says({"services": SERVICES})]
    published(harness, target)
    with pytest.raises(InvalidParameters, match="“wep” is not offered; did you mean `web`"):
        begun(harness, "wep")
    with pytest.raises(InvalidParameters, match="there is api, web"):
        begun(harness, "something else")


def test_only_who_may_run_it_is_answered_and_only_of_what_is_approved(harness: Harness, target: Any) -> None:
    """Somebody else, a parameter without choices, and a version that nobody approved ask no system anything."""
    published(harness, target)
    with pytest.raises(NotAllowed):
        menus.options(harness.rt, OSCAR, "demo", "service")
    with pytest.raises(NotFound, match="did you mean `service`"):
        menus.options(harness.rt, CAROL, "demo", "servise")
    draft = runbook(
        "draft", http("call"),
        parameters={"type": "object", "properties": {"x": {"type": "string", "x-options": {"url": target.url("/x")}}}},
    )  # fmt: skip
    harness.sync(draft=draft)
    with pytest.raises(NotApproved):
        menus.options(harness.rt, CAROL, "draft", "x")
    assert target.paths() == []


def test_what_people_type_reaches_the_system_as_data(harness: Harness, target: Any) -> None:
    """What was typed is one encoded value of the query: no template, no further parameter, no other path."""
    target.does["/services"] = [says({"services": SERVICES})]
    published(harness, target, search="q", query={"zone": "eu"})
    labels(harness, "{{ secrets.canary }}&zone=us#/../x")
    (path,) = target.paths()
    assert path == "/services?zone=eu&q=%7B%7B+secrets.canary+%7D%7D%26zone%3Dus%23%2F..%2Fx"


def test_secrets_are_sent_and_never_shown(harness: Harness, target: Any) -> None:
    """A system that says its caller's token back gets it masked in labels, and its values are left out."""
    token = "c4nary-b1rd-of-the-m1ne"
    echoed = [{"id": token, "name": "stolen"}, {"id": "web", "name": f"web {token}"}]
    target.does["/services"] = [says({"services": echoed})]
    published(harness, target, auth={"type": "bearer", "token": "{{ secrets.canary }}"})
    found = menus.options(harness.rt, CAROL, "demo", "service")
    assert [one.value for one in found.options] == ["web"]
    assert token not in str(found)
    assert f"Bearer {token}".encode() in target.server.requests[0]


def test_a_secret_goes_only_where_it_may(harness: Harness, target: Any) -> None:
    """`_secrets.yaml` binds what is asked for choices as it binds a step: such a version cannot be approved."""
    from engine.errors import Conflict

    harness.write(_secrets_yaml="canary: {hosts: [vault.internal]}")
    with pytest.raises((Conflict, AssertionError), match="canary"):
        published(harness, target, auth={"type": "bearer", "token": "{{ secrets.canary }}"})
    assert target.paths() == []


def test_what_came_last_is_offered_and_decides_while_a_system_is_away(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says({"services": SERVICES}), answer(b"no", "503 Service Unavailable")]
    published(harness, target, cache="1s")
    first = menus.options(harness.rt, CAROL, "demo", "service")
    time.sleep(1.05)
    late = menus.options(harness.rt, CAROL, "demo", "service")
    assert (late.options, late.as_of) == (first.options, first.as_of)
    assert "503" in late.trouble
    assert begun(harness, "api").parameters == {"service": "api"}
    with pytest.raises(InvalidParameters, match="not offered \\(by what was offered last"):
        begun(harness, "other")


def test_an_answer_whose_items_all_lack_the_value_says_so(harness: Harness, target: Any) -> None:
    """It counts as none: what came last is offered. One item that has it, or an empty list, is an answer."""
    strange = [{"key": "api"}, {"key": "web"}]
    target.does["/services"] = [
        says({"services": strange}), says({"services": [*SERVICES, *strange]}), says({"services": strange}),
        says({"services": []}),
    ]  # fmt: skip
    published(harness, target, cache="1s")
    found = menus.options(harness.rt, CAROL, "demo", "service")
    assert found.trouble.startswith("nothing in its answer has what `value` and `label` read: ")
    assert "id" in found.trouble.partition("read: ")[2]
    begun(harness, "api")  # asks anew: a start does not go by what failed a moment ago
    assert labels(harness) == ["The API", "The web shop"]
    time.sleep(1.05)
    late = menus.options(harness.rt, CAROL, "demo", "service")
    assert [one.value for one in late.options] == ["api", "web"]
    assert "nothing in its answer" in late.trouble
    with pytest.raises(InvalidParameters, match=r"not offered$"):
        begun(harness, "web")


def test_without_any_answer_a_value_is_taken_unchecked_but_for_high_risk(harness: Harness, target: Any) -> None:
    """The run says that nobody checked it; what its own schema forbids is refused all the same."""
    target.does["/services"] = [answer(b"<html>", "200 OK", "Content-Type: text/html")]
    published(harness, target, rules={"pattern": "^[a-z]+$"})
    run = begun(harness, "typed")
    assert harness.events(run.id)[0].data["unchecked"] == ["service"]
    with pytest.raises(InvalidParameters):
        begun(harness, "Not right")
    published(harness, target, risk="high")
    with pytest.raises(InvalidParameters, match=r"asked for \(.*cannot be read from null\), and nothing unchecked"):
        begun(harness, "typed", reason="It burns.")


def test_a_replay_asks_no_more_and_a_changed_retry_does(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says({"services": SERVICES})]
    target.does["/call"] = [answer(b"no", "400 Bad Request")]
    published(harness, target, cache="1s")
    run = begun(harness, "api")
    assert harness.run(run.id) == "FAILED"
    target.does["/services"] = [says({"services": []})]
    time.sleep(1.05)
    asked = target.paths().count("/services")
    assert replay_run.replay(harness.rt, CAROL, run.id).parameters == {"service": "api"}
    controls.retry(harness.rt, CAROL, run.id, parameters={"service": "api"})
    assert target.paths().count("/services") == asked
    assert harness.run(run.id) == "FAILED"
    with pytest.raises(InvalidParameters, match="“web” is not offered"):
        controls.retry(harness.rt, CAROL, run.id, parameters={"service": "web"})
    assert executions.find(harness.rt, run.id).parameters == {"service": "api"}


def test_each_value_of_a_list_is_looked_for(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says([1, 2, 3, 3, True, "1"])]
    parameters = {
        "type": "object",
        "properties": {
            "n": {"type": "array", "items": {"type": "integer"}, "x-options": {"url": target.url("/services")}}
        },
    }
    harness.publish(runbook("many", http("call"), parameters=parameters))
    assert [one.value for one in menus.options(harness.rt, CAROL, "many", "n").options] == [1, 2, 3]
    request(harness.rt, CAROL, Wanted("many", {"n": [1, 3]}, trigger="test"))
    with pytest.raises(InvalidParameters, match="“4” is not offered; there is 1, 2, 3"):
        request(harness.rt, CAROL, Wanted("many", {"n": [1, 4]}, trigger="test"))


HOSTILE = {
    "broken JSON": answer(b'{"services": [', "200 OK", "Content-Type: application/json"),
    "half an answer": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
    "too large": answer(b"[" + b"1," * 600_000 + b"1]", "200 OK", "Content-Type: application/json"),
    "no list": says({"services": "all of them"}),
    "a redirect": answer(b"", "302 Found", "Location: http://169.254.169.254/latest"),
    "nested": answer(b"[" * 100_000, "200 OK", "Content-Type: application/json"),
}


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_no_answer(harness: Harness, target: Any, behaviour: Any) -> None:
    target.does["/services"] = [behaviour]
    published(harness, target)
    found = menus.options(harness.rt, CAROL, "demo", "service")
    assert (found.options, found.as_of) == ((), None)
    assert found.trouble


def test_a_silent_system_is_given_up_before_slack_gives_up(harness: Harness, target: Any) -> None:
    """And for a moment nobody who types waits for it again."""
    target.does["/services"] = [silence]
    published(harness, target, search="q")
    began = time.monotonic()
    assert menus.options(harness.rt, CAROL, "demo", "service", "a").trouble
    assert time.monotonic() - began < DEADLINE_MS / 1000 + 5, "a deadline, and not the target, has ended it"
    assert DEADLINE_MS < 3_000
    assert menus.options(harness.rt, CAROL, "demo", "service", "ab").trouble
    assert target.paths() == ["/services?q=a"]


def test_many_choices_and_odd_ones_are_bounded(harness: Harness, target: Any) -> None:
    """At most a thousand; what nobody could read whole is left out, and labels show what hides in them."""
    odd = [
        {"id": "a\u202eb", "name": "turned"}, {"id": "x" * 3000, "name": "long"}, {"id": "", "name": "empty"},
        {"id": {"deep": 1}, "name": "no value"}, {"name": "none"}, "no mapping", None,
        {"id": "ok", "name": "<!channel> *bold* \u202egpj.exe\nline"},
    ]  # fmt: skip
    target.does["/services"] = [says({"services": odd + [{"id": f"s{n}", "name": f"s{n}"} for n in range(2000)]})]
    published(harness, target)
    found = menus.options(harness.rt, CAROL, "demo", "service")
    assert found.more
    assert found.options[0].value == "ok"
    assert "\u202e" not in found.options[0].label
    assert "\n" not in found.options[0].label
    assert len(found.options) <= 1000


def test_many_people_ask_a_system_once(harness: Harness, target: Any) -> None:
    def slowly(conn: Any, _request: bytes) -> None:
        time.sleep(0.3)
        says({"services": SERVICES})(conn, _request)

    target.does["/services"] = [slowly]
    published(harness, target)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(labels(harness))) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [["The API", "The web shop"]] * 5
    assert target.paths() == ["/services"]


def test_what_is_gone_when_it_is_started_is_refused(harness: Harness, target: Any) -> None:
    """What a form offered long ago is no promise."""
    target.does["/services"] = [says({"services": SERVICES}), says({"services": SERVICES[:1]})]
    published(harness, target, cache="1s")
    assert "The web shop" in labels(harness)
    time.sleep(1.05)
    with pytest.raises(InvalidParameters, match="“web” is not offered"):
        begun(harness, "web")
    assert begun(harness, "api").parameters == {"service": "api"}


def test_a_system_that_searches_is_asked_for_the_value_itself(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says({"services": []}), says({"services": SERVICES[1:]}), says({"services": []})]
    published(harness, target, search="q")
    assert labels(harness, "\ud800nothing\x00") == []
    assert begun(harness, "web").parameters == {"service": "web"}
    with pytest.raises(InvalidParameters, match="“wob” is not offered"):
        begun(harness, "wob")
    assert [path.partition("q=")[2] for path in target.paths()][1:] == ["web", "wob"]


def test_no_redirect_and_no_address_leads_inside(harness: Harness, target: Any) -> None:
    """The guard of steps holds for what a form asks."""
    inside = answer(b"", "302 Found", "Location: http://169.254.169.254/latest/meta-data")
    target.does["/services"] = [inside]
    published(harness, target, redirects=3)
    assert menus.options(harness.rt, CAROL, "demo", "service").trouble
    published(harness, target, url="http://127.0.0.1:1/services")
    assert menus.options(harness.rt, CAROL, "demo", "service").trouble
    assert target.paths() == ["/services"]


def test_a_held_request_is_checked_again_when_it_is_released(harness: Harness, target: Any) -> None:
    target.does["/services"] = [says({"services": SERVICES}), says({"services": []})]
    published(harness, target, cache="1s")
    freezing.freeze(harness.rt, ALICE, "demo", "quiet", lasting="1h")
    wanted = Wanted("demo", {"service": "web"}, trigger="test")
    held = held_requests.hold(harness.rt, CAROL, wanted).held
    freezing.unfreeze(harness.rt, ALICE, "demo")
    time.sleep(1.05)
    with pytest.raises(InvalidParameters, match="“web” is not offered"):
        held_requests.release(harness.rt, CAROL, held.id)
    target.does["/services"] = [says({"services": SERVICES})]
    time.sleep(1.05)
    assert held_requests.release(harness.rt, CAROL, held.id).execution.parameters == {"service": "web"}


def test_a_child_is_not_asked_for(harness: Harness, target: Any) -> None:
    """It is started while its parent is locked, with what an approved step says."""
    published(harness, target)
    step = {"id": "child", "type": "runbook", "with": {"id": "demo", "params": {"service": "anything"}}}
    harness.publish(runbook("parent", step))
    run = harness.start("parent")
    harness.advance(run)
    assert "child_started" in harness.event_kinds(run)
    assert "/services" not in target.paths()


def test_a_draft_that_two_people_let_run_asks_nobody(harness: Harness, target: Any) -> None:
    """Nobody approved whom it asks, and what it sends there; its values are told of as unchecked."""
    published(harness, target)
    harness.settle_for(break_glass=True, audit_channel="C0AUDIT01")
    changed = json.loads(catalog.version(harness.rt, "demo").source)
    changed["description"] = "Another one."
    harness.sync(demo=json.dumps(changed))
    wanted = Wanted("demo", {"service": "typed"}, trigger="test", number=2, reason="It burns.")
    asked = break_glass.ask(harness.rt, CAROL, wanted)
    run = break_glass.agree(harness.rt, ALICE, asked.id).execution
    assert harness.events(run.id)[0].data["unchecked"] == ["service"]
    assert target.paths() == []
