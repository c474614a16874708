"""Where a secret may go: by the file's check, at the approval, and by the worker for the host that is called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grpc_server import SERVICE
from harness import ALICE, CAROL, Harness, Target, http, poll, runbook
from local_server import answer, egress_to, serving

from engine.catalog import catalog, secret_policy
from engine.definition.reaches import Carried as Names
from engine.egress.secret_rules import SecretRules, rules_of
from engine.errors import Conflict
from engine.queries import can, explain
from engine.steps import http as http_step
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Failed, Outcome, Succeeded
from engine.steps.secret_destinations import Carried
from engine.text.redaction import Redactor
from storage import database
from storage.audit_tables import Audit
from storage.columns import dicts

SECRET = "c4nary-b1rd-of-the-m1ne"
AUTH = {"type": "bearer", "token": "{{ secrets.canary }}"}


def policy(harness: Harness, **canary: Any) -> None:
    """What `_secrets.yaml` says of the one secret, from the next sync on."""
    harness.write(_secrets_yaml=json.dumps({"secrets": {"canary": canary}}))


def own(target: Target) -> str:
    return f"127.0.0.1:{target.server.port}"


def audited(action: str) -> list[dict[str, Any]]:
    with database.reading():
        return dicts(Audit.select().where(Audit.action == action))


def test_what_is_allowed_goes_on(harness: Harness, target: Target) -> None:
    policy(harness, teams=["payments"], hosts=[own(target)])
    run = harness.begin(http("call", target.url("/a"), auth=AUTH))
    assert harness.run(run) == "SUCCESS"
    assert SECRET.encode() in target.server.requests[0]


def test_without_a_file_nothing_is_refused(harness: Harness, target: Target) -> None:
    run = harness.begin(http("call", target.url("/a"), auth=AUTH))
    assert harness.run(run) == "SUCCESS"
    assert not any(
        "_secrets.yaml" in each for each in secret_policy.warnings(harness.rt, catalog.version(harness.rt, "demo"))
    )


def test_a_version_that_says_what_is_forbidden_is_not_approved(harness: Harness, target: Target) -> None:
    """The sync tells it, the approval is refused with the sentence, and a host or a team each is enough."""
    policy(harness, hosts=["lb.example.com"])
    report = harness.sync(demo=runbook("demo", http("call", target.url("/a"), auth=AUTH)))
    assert any("may not go to" in str(each) for each in report.problems)
    with pytest.raises(Conflict, match=r"step `call`: `secrets\.canary\.hosts` of _secrets\.yaml is lb\.example\.com"):
        harness.approve("demo")
    policy(harness, teams=["core"])
    harness.sync()
    with pytest.raises(Conflict, match="is core, and this runbook is of team payments"):
        harness.approve("demo")
    policy(harness, teams=["payments"])
    assert harness.sync().ok
    harness.approve("demo")


def test_a_runbook_of_no_team_uses_what_no_team_was_named_for(harness: Harness, target: Target) -> None:
    policy(harness, teams=["payments"])
    harness.sync(demo=runbook("demo", http("call", target.url("/a"), auth=AUTH), team=None))
    with pytest.raises(Conflict, match="belongs to no team"):
        harness.approve("demo")
    policy(harness)
    assert harness.sync().ok
    harness.approve("demo", ALICE)


@pytest.mark.parametrize("kind", ["http", "poll", "grpc", "oauth2"])
def test_a_policy_that_changes_later_is_the_workers(harness: Harness, target: Target, kind: str) -> None:
    """Approved, then forbidden: nothing is sent, nothing is retried, and it is on record."""
    oauth2 = {"type": "oauth2", "token_url": target.url("/token"), "client_id": "me",
              "client_secret": "{{ secrets.canary }}"}  # fmt: skip
    step: dict[str, Any] = {
        "http": http("call", target.url("/a"), headers={"X-Key": "{{ secrets.canary | upper }}"}),
        "poll": poll("call", target.url("/a"), "true"),
        "grpc": {"id": "call", "type": "grpc", "with": {"target": own(target), "tls": False, "service": "a.B",
                 "method": "C", "metadata": {"x-key": "{{ secrets.canary }}"}}},
        "oauth2": http("call", target.url("/a"), auth=oauth2),
    }[kind]  # fmt: skip
    if kind == "poll":
        step["with"]["auth"] = AUTH
    run = harness.begin(step)
    policy(harness, hosts=["lb.example.com", "*.lb.example.com:8443"])
    harness.sync()
    assert harness.run(run) == "FAILED"
    assert target.server.requests == []
    found = harness.step(run, "call")
    assert found.error["code"] == "secret_destination"
    assert "`secrets.canary.hosts` of _secrets.yaml is lb.example.com, *.lb.example.com:8443" in found.error["message"]
    assert found.attempts == 1
    (row,) = audited("secret.refused")
    assert row["severity"] == "WARNING"
    assert row["detail"]["step"] == "call"
    assert len(audited("secrets.change")) == 1


def test_the_team_is_that_of_the_runbook_that_runs(harness: Harness, target: Target) -> None:
    """A child of another team is judged by its own, whoever started it."""
    call = http("call", target.url("/a"), auth=AUTH)
    harness.publish(runbook("child", call, team="core"))
    harness.publish(runbook("demo", {"id": "sub", "type": "runbook", "with": {"id": "child"}}))
    policy(harness, teams=["payments"])
    harness.sync()
    run = harness.start("demo", ALICE)
    harness.advance(run)
    child = str(harness.step(run, "sub").child)
    assert harness.run(child) == "FAILED"
    assert "is payments, and this runbook is of team core" in harness.step(child, "call").error["message"]
    assert target.server.requests == []


def test_strict_refuses_what_has_no_entry(harness: Harness, target: Target) -> None:
    harness.begin(http("call", target.url("/a"), auth=AUTH))
    run = harness.start("demo")
    harness.settle_for(secrets_strict=True)
    assert harness.run(run) == "FAILED"
    assert target.server.requests == []
    report = harness.sync(other=runbook("other", http("call", target.url("/a"), auth=AUTH)))
    assert any("SECRETS_STRICT" in str(each) for each in report.problems)
    with pytest.raises(Conflict, match="no entry for the secret `canary`"):
        harness.approve("other")


def test_a_broken_or_missing_file_keeps_the_rules(harness: Harness, target: Target) -> None:
    """Whoever deletes or breaks the file has lifted nothing."""
    policy(harness, hosts=["lb.example.com"])
    harness.sync()
    for text in ("secrets: [", "secrets: {canary: {host: [a]}}"):
        harness.write(_secrets_yaml=text)
        report = harness.sync(demo=runbook("demo", http("call", target.url("/a"), auth=AUTH)))
        assert any("_secrets.yaml" in str(each) for each in report.problems)
        with pytest.raises(Conflict):
            harness.approve("demo")
    (harness.folder / "_secrets.yaml").unlink()
    assert any("is missing" in str(each) for each in harness.sync().problems)
    with pytest.raises(Conflict):
        harness.approve("demo")
    harness.write(_secrets_yaml="secrets: {}")
    assert harness.sync().ok
    harness.approve("demo")


def test_a_first_file_that_is_broken_lets_nothing_out(harness: Harness, target: Target) -> None:
    """There are no earlier rules to hold on, so every secret is refused, in runs too, until the file is good."""
    run = harness.begin(http("call", target.url("/a"), auth=AUTH))
    harness.write(_secrets_yaml='secrets: {canary: {hosts: [127.0.0.1, "bad host"]}}')
    report = harness.sync(other=runbook("other", http("call", target.url("/a"), auth=AUTH)))
    assert any("could never be read" in str(each) for each in report.problems)
    with pytest.raises(Conflict, match="could never be read"):
        harness.approve("other")
    assert harness.run(run) == "FAILED"
    assert target.server.requests == []
    (harness.folder / "_secrets.yaml").unlink()
    assert not harness.sync().ok
    policy(harness, hosts=["127.0.0.1"])
    assert harness.sync().ok
    harness.approve("other")
    assert harness.run(harness.start("other")) == "SUCCESS"


@pytest.mark.parametrize("host", ["127.000.000.001", "0177.0.0.1", "xn--a.attacker.example"])
def test_a_host_that_cannot_be_read_is_none_of_those_listed(harness: Harness, host: str) -> None:
    """A gRPC client takes what a URL may not have for a host: refused when it is approved, and when it is called."""
    step = {"target": f"{host}:1", "tls": False, "service": SERVICE, "method": "Cancel",
            "metadata": {"x-key": "{{ secrets.canary }}"}}  # fmt: skip
    run = harness.begin({"id": "call", "type": "grpc", "retry": {"max_attempts": 1}, "with": step})
    policy(harness, hosts=["lb.example.com"])
    harness.sync(other=runbook("other", {"id": "call", "type": "grpc", "with": step}))
    with pytest.raises(Conflict, match="it may not go to what is no valid host"):
        harness.approve("other")
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "call").error["code"] == "secret_destination"


def test_a_host_that_a_value_decides_is_the_workers(harness: Harness, target: Target) -> None:
    """The approval says so; the run is judged by what it calls."""
    policy(harness, hosts=["lb.example.com"])
    schema = {"type": "object", "properties": {"host": {"type": "string", "enum": ["127.0.0.1", "lb.example.com"]}}}
    url = f"http://{{{{ params.host }}}}:{target.server.port}/a"
    harness.publish(runbook("demo", http("call", url, auth=AUTH), parameters=schema))
    told = secret_policy.warnings(harness.rt, catalog.version(harness.rt, "demo"))
    assert any("is decided when it runs" in each for each in told)
    run = harness.start("demo", host="127.0.0.1")
    assert harness.run(run) == "FAILED"
    assert target.server.requests == []


RULES = rules_of({"secrets": {"key": {"hosts": ["lb.example.com"]}, "open": {}}}, strict=False)


def call(url: str, carried: Carried, egress: Any, **with_: Any) -> Outcome:
    made = http_step.Call(
        idempotent=True, timeout_ms=3000, idempotency_key="rb-1-x", egress=egress, tokens=Tokens(Redactor()),
        redact=lambda value: value, abandoned=lambda: False, carried=carried,
    )  # fmt: skip
    return http_step.run({"url": url, **with_}, made)


def test_can_tells_what_the_rules_forbid(harness: Harness, target: Target) -> None:
    """Of a draft whose approval is asked about, and of a version that would run."""
    harness.publish(runbook("demo", http("call", target.url("/a"), auth=AUTH)))
    assert can.can(harness.rt, CAROL, "run", "demo").but == ""
    policy(harness, hosts=["lb.example.com"])
    harness.sync(other=runbook("other", http("call", target.url("/a"), auth=AUTH)))
    for verb, thing, who in (("run", "demo", CAROL), ("admin approve", "other@1", ALICE)):
        ruling = can.can(harness.rt, who, verb, thing)
        assert ruling.verdict.allowed
        assert "`secrets.canary.hosts` of _secrets.yaml is lb.example.com" in ruling.but


def test_why_tells_what_refused(harness: Harness, target: Target) -> None:
    run = harness.begin(http("call", target.url("/a"), auth=AUTH))
    policy(harness, hosts=["lb.example.com"])
    harness.sync()
    harness.run(run)
    (reason,) = explain.explain(harness.rt, run).reasons
    assert (reason.kind, reason.facts["code"]) == ("failed", "secret_destination")
    assert "`secrets.canary.hosts` of _secrets.yaml" in reason.message


@pytest.mark.parametrize("leaks", [True, False])
def test_a_redirect_takes_no_secret_where_it_may_not_go(leaks: bool) -> None:
    """What the first host puts into the address does not go on; without a secret in it the redirect is followed."""
    with serving(answer(b"here")) as other:
        location = other.url("/b?t=s3cr3t-value" if leaks else "/b")
        with serving(answer(b"", "302 Found", f"Location: {location}")) as first, egress_to(first, other) as egress:
            rules = rules_of({"secrets": {"key": {"hosts": [f"127.0.0.1:{first.port}"]}}}, strict=False)
            carried = Carried(Names(frozenset({"key"})), rules, None, lambda text: "s3cr3t-value" in text)
            headers = {"X-Key": "s3cr3t-value"}
            outcome = call(first.url("/a"), carried, egress, redirects=2, headers=headers)
            assert len(other.requests) == (0 if leaks else 1)
            assert all(b"s3cr3t-value" not in each for each in other.requests)
            if leaks:
                assert isinstance(outcome, Failed)
                assert (outcome.code, outcome.retryable) == ("secret_destination", False)
            else:
                assert isinstance(outcome, Succeeded)


def test_a_header_that_goes_anywhere_does_not_take_a_secret_along() -> None:
    with serving(answer(b"here")) as other:
        redirect = answer(b"", "302 Found", f"Location: {other.url('/b')}")
        with serving(redirect) as first, egress_to(first, other) as egress:
            rules = rules_of({"secrets": {"key": {"hosts": [f"127.0.0.1:{first.port}"]}}}, strict=False)
            carried = Carried(Names(frozenset({"key"})), rules, None, lambda text: "s3cr3t-value" in text)
            outcome = call(first.url("/a"), carried, egress, redirects=2, headers={"User-Agent": "s3cr3t-value"})
            assert isinstance(outcome, Failed)
            assert other.requests == []


def test_a_token_that_is_kept_is_no_way_round() -> None:
    """The client's secret is judged before its cached token is used, too."""
    token = answer(b'{"access_token": "a-t0ken-of-some-length", "token_type": "bearer"}')
    with serving(token) as server, egress_to(server) as egress:
        tokens = Tokens(Redactor())
        auth = {"type": "oauth2", "token_url": server.url("/t"), "client_id": "me", "client_secret": "s3cr3t"}
        for rules, sent in ((SecretRules(), 2), (RULES, 2)):
            carried = Carried(Names(token=frozenset({"key"})), rules)
            made = http_step.Call(
                idempotent=True, timeout_ms=3000, idempotency_key="rb-1-x", egress=egress, tokens=tokens,
                redact=lambda value: value, abandoned=lambda: False, carried=carried,
            )  # fmt: skip
            http_step.run({"url": server.url("/a"), "auth": auth}, made)
            assert len(server.requests) == sent
