"""Where a received secret may go: told by the check, at the approval, and of the host that is really called."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from grpc_server import SERVICE, OrderService, order_service
from harness import Harness, Target, http, runbook
from local_server import answer, egress_to, serving
from test_canary import logged, ways_out
from test_received_secrets import BEARER, KEY, ONCE, gives, quiet, rotate

from engine.access import secret_use
from engine.catalog import catalog, secret_policy
from engine.definition.load import examine
from engine.egress.secret_rules import SecretRules
from engine.errors import Conflict

__all__ = ["logged", "quiet"]

READ = "{{ steps.rotate.outputs.key }}"


def key(*hosts: str) -> dict[str, Any]:
    return {"key": {"value": "{{ response.json.key }}", "secret": True, "hosts": list(hosts)}}


def own(target: Target) -> str:
    return f"127.0.0.1:{target.server.port}"


def told(*steps: dict[str, Any], strict: bool = False) -> list[str]:
    found = examine(runbook("demo", *steps).encode(), "demo.yaml")
    if found.runbook is None:
        return [str(each) for each in found.problems]
    return [f"{each.path} {each.message}" for each in secret_use.findings(found.runbook, SecretRules(strict=strict))]


def test_it_goes_where_it_may(harness: Harness, target: Target) -> None:
    gives(target)
    run = harness.begin(rotate(target, outputs=key(own(target))), http("use", target.url("/use"), auth=BEARER))
    assert harness.run(run) == "SUCCESS"
    assert KEY.encode() in target.server.requests[-1]


def test_a_host_that_is_written_and_not_listed_is_not_approved(harness: Harness, target: Target) -> None:
    """The check names step, output and host; who starts it meets the same."""
    steps = rotate(target, outputs=key("deploy.example")), http("use", target.url("/use"), auth=BEARER)
    (found,) = told(*steps)
    assert f"`hosts` of `outputs.key` of step `rotate` is deploy.example: it may not go to {own(target)}" in found
    assert "may not go to" in str(harness.sync(demo=runbook("demo", *steps)).problems)
    with pytest.raises(Conflict, match="may not go to"):
        harness.approve("demo")


def test_an_output_that_says_nothing_is_refused_where_that_is_strict(harness: Harness, target: Target) -> None:
    """By the check, at the approval, and by the worker of a version that was approved before."""
    gives(target)
    steps = rotate(target), http("use", target.url("/use"), auth=BEARER, retry=ONCE)
    assert told(*steps) == []
    assert "has no `hosts`, and SECRETS_STRICT refuses" in str(told(*steps, strict=True))
    run = harness.begin(*steps)
    harness.settle_for(secrets_strict=True)
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "use").error["code"] == "secret_destination"
    assert target.paths() == ["/rotate"]
    harness.sync(other=runbook("other", *steps))
    with pytest.raises(Conflict, match="SECRETS_STRICT"):
        harness.approve("other")


@pytest.mark.parametrize(
    "hosts", ["deploy.example", ["https://deploy.example/"], ["*.127.0.0.1"], ["{{ params.host }}"], [7]]
)
def test_hosts_that_cannot_be_read_are_told(target: Target, hosts: Any) -> None:
    steps = rotate(target, outputs={"key": {**key()["key"], "hosts": hosts}}), http("use", target.url("/use"))
    assert "hosts" in str(told(*steps))


def test_a_value_that_decides_the_host_is_the_workers(harness: Harness, target: Target) -> None:
    """The approval cannot know and warns; nothing is sent to what is not listed."""
    gives(target)
    url = f"http://{{{{ params.host }}}}:{target.server.port}/use"
    where = {"type": "object", "properties": {"host": {"enum": ["127.0.0.1", "other.example"]}}, "required": ["host"]}
    steps = rotate(target, outputs=key("deploy.example")), http("use", url, auth=BEARER, retry=ONCE)
    harness.publish(runbook("demo", *steps, parameters=where))
    warned = secret_policy.warnings(harness.rt, catalog.version(harness.rt, "demo"))
    assert "whether `rotate.key`, which the run receives, may be sent to" in str(warned)
    run = harness.start("demo", host="127.0.0.1")
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "use").error["code"] == "secret_destination"
    assert target.paths() == ["/rotate"]


def test_a_redirect_takes_it_nowhere_else(harness: Harness, target: Target) -> None:
    gives(target)
    with serving(answer(b"here")) as other, egress_to(target.server, other) as egress:
        object.__setattr__(harness.tools, "egress", egress)
        target.does["/use"] = [answer(b"", "302 Found", f"Location: {other.url('/b')}?t={KEY}")]
        use = http("use", target.url("/use"), auth=BEARER, retry=ONCE)
        use["with"]["redirects"] = 2
        run = harness.begin(rotate(target, outputs=key(own(target))), use)
        assert harness.run(run) == "FAILED"
        assert other.requests == []


def test_a_token_server_is_a_host_too(harness: Harness, target: Target) -> None:
    """The client's secret goes to `token_url` alone: that is the host to list."""
    auth = {"type": "oauth2", "token_url": "https://sso.example/t", "client_id": "bot", "client_secret": READ}
    use = http("use", target.url("/use"), auth=auth)
    assert told(rotate(target, outputs=key("sso.example")), use) == []
    assert "may not go to sso.example" in str(told(rotate(target, outputs=key(own(target))), use))


def mints(orders: OrderService, word: str = "mint", **keys: Any) -> dict[str, Any]:
    """A call whose answer has the key in a field and in its metadata; it is asked for by the key turned round."""
    call = {
        "target": orders.target, "service": SERVICE, "method": "Cancel", "tls": False,
        "message": {"order_id": f"{word}:{KEY[::-1]}"},
    }  # fmt: skip
    outputs = {"key": {"value": "{{ response.json.tags[0] }}", "secret": True, **keys}}
    return {"id": "rotate", "type": "grpc", "with": call, "outputs": outputs, "retry": ONCE}


def uses(orders: OrderService) -> dict[str, Any]:
    call = {
        "target": orders.target, "service": SERVICE, "method": "Cancel", "tls": False,
        "message": {"order_id": "echo-metadata:"}, "metadata": {"authorization": READ},
    }  # fmt: skip
    return {"id": "use", "type": "grpc", "with": call, "retry": ONCE}


def test_a_grpc_answer_gives_a_secret_that_is_seen_nowhere(harness: Harness, logged: io.StringIO) -> None:
    """It reaches the next call, which echoes it in a field and in its metadata."""
    with order_service() as orders, egress_to(allow=orders.target) as egress:
        harness.tools = type(harness.tools)(egress, harness.tools.secrets, harness.tools.redactor)
        harness.runner = harness.worker("w-grpc")
        run = harness.begin(mints(orders, hosts=[orders.target]), uses(orders))
        assert harness.run(run) == "SUCCESS", [each.error for each in harness.step_runs(run)]
        assert orders.seen[-1]["authorization"] == KEY
    assert harness.step(run, "rotate").outputs == {"key": "‹secret rotate.key›"}
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, (name, shown[max(0, shown.find(KEY) - 200) : shown.find(KEY) + 60])
    (attempt,) = harness.attempts(run, "rotate")
    assert KEY not in json.dumps(attempt.response)


def test_a_grpc_answer_that_failed_is_not_kept(harness: Harness, logged: io.StringIO) -> None:
    """Neither its words nor its metadata: the key is in both, and nobody knows it yet."""
    with order_service() as orders, egress_to(allow=orders.target) as egress:
        harness.tools = type(harness.tools)(egress, harness.tools.secrets, harness.tools.redactor)
        harness.runner = harness.worker("w-grpc")
        run = harness.begin(mints(orders, "mint-and-fail"))
        assert harness.run(run) in ("FAILED", "WAITING")
        assert len(orders.seen) == 1
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, (name, shown[max(0, shown.find(KEY) - 200) : shown.find(KEY) + 60])


def test_a_grpc_target_is_a_host_too(harness: Harness, target: Target) -> None:
    """Where it is written the check says so; nothing is called there."""
    gives(target)
    with order_service() as orders:
        steps = rotate(target, outputs=key(own(target))), uses(orders)
        assert f"it may not go to {orders.target}" in str(told(*steps))
        assert orders.seen == []
