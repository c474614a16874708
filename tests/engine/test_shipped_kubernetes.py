"""The runbooks for Kubernetes that ship, against a server that records what it is asked, and answers as Kubernetes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import real_servers
from harness import CAROL, Harness, Target
from local_server import answer

from engine.orchestration.admission import Wanted
from engine.runs import live_plans
from storage.states import ExecutionStatus

DEPLOYMENT = "/apis/apps/v1/namespaces/production/deployments/shop"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/production/horizontalpodautoscalers"


def says(said: Any) -> Any:
    return answer(json.dumps(said).encode(), "200 OK", "Content-Type: application/json")


def deployment(replicas: int, *, available: int | None = None, stuck: str = "") -> dict[str, Any]:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)
    if available is not None:
        counts["availableReplicas"] = available
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": stuck}
    return {
        "metadata": {"generation": 5},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 5, **counts, "conditions": [late] if stuck else []},
    }


@pytest.fixture
def cluster(harness: Harness, target: Target) -> Target:
    """One with a deployment of two replicas and no autoscaler."""
    target.does[AUTOSCALERS] = [says({"items": []})]
    target.does[f"{DEPLOYMENT}/scale"] = [says({"spec": {"replicas": 2}})]
    target.does[DEPLOYMENT] = [says(deployment(2))]
    auth = {"type": "bearer", "token": "{{ secrets.kubernetes_token }}"}
    real_servers.know_secrets(harness, {"kubernetes_token": "not-a-token-of-anybody"})
    at = {"kubernetes": {"url": target.url("/").rstrip("/"), "auth": auth}}
    real_servers.approve(harness, at, "kubernetes-scale", "kubernetes-rollout-restart")
    return target


def changes(cluster: Target) -> list[tuple[str, Any]]:
    """Every PATCH: where it went, and its body."""
    parts = [request.partition(b"\r\n\r\n") for request in cluster.server.requests]
    return [(head.split(b" ")[1].decode(), json.loads(body)) for head, _, body in parts if head.startswith(b"PATCH ")]


def planned_live(harness: Harness, slug: str, **parameters: Any) -> dict[str, str]:
    wanted = Wanted(slug, {"namespace": "production", "deployment": "shop", **parameters}, trigger="test", reason="")
    plan = live_plans.make(harness.rt, CAROL, wanted)
    return {each["step"]: each["live"]["outcome"] for each in plan.every_step() if "live" in each}


def test_a_live_plan_asks_kubernetes_to_persist_nothing(harness: Harness, cluster: Target) -> None:
    """Also before the gate: the query says dryRun=All, and nothing else is called."""
    assert planned_live(harness, "kubernetes-scale", replicas=3) == {"scale": "success"}
    assert planned_live(harness, "kubernetes-rollout-restart") == {"restart": "success"}
    assert [method for method, _path, _key in cluster.hits] == ["PATCH", "PATCH"]
    assert all(path.endswith("?fieldManager=runbook-bot&dryRun=All") for path, _body in changes(cluster))
    assert changes(cluster)[0][1] == {"spec": {"replicas": 3}}


def test_a_live_plan_tells_what_kubernetes_refuses(harness: Harness, cluster: Target) -> None:
    cluster.does[f"{DEPLOYMENT}/scale"] = [answer(b'{"message": "exceeded quota"}', "403 Forbidden")]
    assert planned_live(harness, "kubernetes-scale", replicas=50) == {"scale": "failure"}


def test_a_run_scales_in_earnest_and_follows_it(harness: Harness, cluster: Target) -> None:
    cluster.does[DEPLOYMENT] = [says(deployment(3, available=2)), says(deployment(3))]
    execution, status = real_servers.run(
        harness, "kubernetes-scale", namespace="production", deployment="shop", replicas=3
    )
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert changes(cluster) == [(f"{DEPLOYMENT}/scale?fieldManager=runbook-bot", {"spec": {"replicas": 3}})]


def test_one_that_gets_stuck_goes_back_to_what_it_was(harness: Harness, cluster: Target) -> None:
    cluster.does[DEPLOYMENT] = [says(deployment(9, available=2, stuck="ReplicaSet shop-1 has timed out progressing."))]
    execution, status = real_servers.run(
        harness, "kubernetes-scale", namespace="production", deployment="shop", replicas=9
    )
    assert status is ExecutionStatus.FAILED
    assert [body["spec"]["replicas"] for _path, body in changes(cluster)] == [9, 2]
    (why,) = [each["message"] for each in real_servers.troubles(harness, execution).values() if "stuck" in str(each)]
    assert why == "shop in production is stuck: ReplicaSet shop-1 has timed out progressing."
