"""Where the secrets of a gRPC step's `tls` may go: the hosts of `_secrets.yaml` hold for them as for all others."""

from __future__ import annotations

import certificates
import pytest
from grpc_server import SERVICE, order_service
from test_grpc_step import channels_to

from engine.definition.load import examine
from engine.definition.reaches import Carried as Names
from engine.definition.reaches import carried
from engine.egress.secret_rules import rules_of
from engine.steps import grpc
from engine.steps.outcome import Failed, Succeeded
from engine.steps.secret_destinations import CODE, Carried

AUTHORITY = certificates.issue("Ours")
CLIENT = certificates.issue("bot", AUTHORITY)
SERVER = certificates.issue("server", AUTHORITY, "127.0.0.1")
RUNBOOK = """
apiVersion: runbook/v1
id: a
name: A
team: sre
steps:
  - id: s
    type: grpc
    with:
      target: orders.example.com:443
      service: a.B
      method: C
      tls: {cert: "{{ secrets.cert }}", key: "{{ secrets.key }}", ca: "{{ secrets.ca }}"}
"""


def test_every_secret_of_tls_is_carried_to_the_target() -> None:
    found = examine(RUNBOOK.encode(), "a.yaml").runbook
    assert found is not None
    assert carried(found.by_id["s"], frozenset()) == Names(own=frozenset({"cert", "key", "ca"}))


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
@pytest.mark.parametrize("here", [True, False])
def test_one_that_may_not_go_there_keeps_the_call_from_being_made(name: str, here: bool) -> None:
    """Before the server sees a connection, so that no certificate of ours is shown to it."""
    keys = (SERVER.key.encode(), SERVER.cert.encode())
    tls = {"cert": CLIENT.cert, "key": CLIENT.key, "ca": AUTHORITY.cert}
    with order_service(tls=keys, clients=AUTHORITY.cert.encode()) as service, channels_to(service.port) as channels:
        host = service.target if here else "orders.example.com"
        rules = rules_of({"secrets": {each: {"hosts": [host]} if each == name else {} for each in tls}}, strict=False)
        outcome = grpc.run(
            {"target": service.target, "service": SERVICE, "method": "Cancel", "message": {}, "tls": tls},
            idempotency_key="rb-1-x", channels=channels, redact=lambda value: value, idempotent=True,
            timeout_ms=5000, abandoned=lambda: False, carried=Carried(Names(own=frozenset(tls)), rules, None),
        )  # fmt: skip
        if here:
            assert isinstance(outcome, Succeeded), outcome
        else:
            assert isinstance(outcome, Failed)
            assert (outcome.code, service.seen) == (CODE, [])
            assert f"`secrets.{name}.hosts` of _secrets.yaml is orders.example.com" in outcome.message
