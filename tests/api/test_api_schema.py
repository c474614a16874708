"""What the document promises, tried by schemathesis: no accident, and no answer that is not in it.

The engine's clock stands still here and nothing advances runs, so that only what the requests do happens.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_client import Api
from harness import ALICE, BOB, CAROL, OSCAR, gate, runbook
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.access.policy import Actor
from engine.orchestration import incidents

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]
STREAM = "/executions/{execution}/events"
"""It does not end while its run is open; it is tested by itself."""
EDITS = ("PUT", "PATCH", "DELETE")


def document(api: Api) -> Any:
    return schemathesis.openapi.from_url(f"{api.url}/api/v1/openapi.json").exclude(path=STREAM)


def known(api: Api) -> dict[str, list[Any]]:
    """What there is, by the name of the parameter that names it: most of what is tried is about that."""
    harness = api.harness
    harness.publish(runbook("gated", gate("ask")))
    runs = [harness.start("gated", ALICE), harness.start("ping", ALICE)]
    harness.advance(runs[0])
    incident = incidents.open_incident(harness.rt, ALICE, "C0INC0001")
    token = api.get("/tokens/current", OSCAR)["id"]
    return {
        "runbook": ["drain", "ping", "gated"], "execution": runs, "step": ["ask", "ping"], "version": [1, 2],
        "incident": [incident.id], "token": [token], "target": ["drain", runs[0]], "verb": ["run", "approve"],
    }  # fmt: skip


def tried(api: Api, who: Actor, examples: int) -> Counter[int]:
    """Ask every operation this often, as this person; how often each status was the answer."""
    there = known(api)
    api.app.routes[-1].app.state.context.rates._size = 1e9
    headers = {"Authorization": f"Bearer {api.token(who)}"}
    found: Counter[int] = Counter()
    for result in document(api).get_all_operations():
        found += _try(f"{api.url}/api/v1", result.ok(), there, headers, examples)
    return found


def _try(
    base: str, operation: Any, there: dict[str, list[Any]], headers: dict[str, str], examples: int
) -> Counter[int]:
    counter = iter(range(1_000_000))
    found: Counter[int] = Counter()

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=QUIET, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def once(case: Any) -> None:
        number = next(counter)
        for place in (case.path_parameters, case.query):
            for name in place or {}:
                if name in there and number % 4:
                    place[name] = there[name][number % len(there[name])]
        if case.method in EDITS and number % 2:
            case.headers = {**(case.headers or {}), "If-Match": '"1-approved"'}
        answer = case.call_and_validate(base_url=base, headers=headers, checks=CHECKS)
        found[answer.status_code] += 1

    once()
    return found


def test_every_operation_keeps_its_promises(api: Api) -> None:
    """A few tries each, as a platform admin; the slow test tries more, as everybody."""
    found = tried(api, ALICE, 4)
    assert sum(found[status] for status in (200, 201, 202, 204)) > 40
    assert 429 not in found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", [ALICE, BOB, CAROL, OSCAR], ids=["platform admin", "team admin", "member", "nobody"])
def test_every_operation_keeps_its_promises_to_everybody(api: Api, who: Actor) -> None:
    """With the token of each role."""
    tried(api, who, 40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_edges_and_chains_of_requests_keep_the_promises_too(api: Api, tmp_path: Path) -> None:
    """Schemathesis by itself: every boundary of every parameter, and links followed from one answer to the next."""
    known(api)
    api.app.routes[-1].app.state.context.rates._size = 1e9
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/api/v1/openapi.json",
        "--header", f"Authorization: Bearer {api.token(ALICE)}", "--phases", "coverage,stateful", "--seed", "1",
        "--checks", ",".join(each.__name__ for each in CHECKS), "--max-examples", "15", "--no-color",
        "--exclude-operation-id", "revoke_token", "--exclude-operation-id", "follow_execution",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Stateful" in done.stdout
