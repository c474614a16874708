"""The sample estate that runbooks act on."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bot.simulator import Config, running_simulator
from bot.simulator import target as estate

TOKEN = {"Authorization": "Bearer t"}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(estate, "DELAY", (0.0, 0.01))
    monkeypatch.setattr(estate, "HEALTHY_AFTER", 0.2)
    with running_simulator(Config(target_port=0, target_token="t")) as sim:
        assert sim.target_url
        with httpx.Client(base_url=sim.target_url, trust_env=False) as client:
            yield client


def test_the_load_balancer_wants_its_token(target: httpx.Client) -> None:
    """Draining without the token is refused and has no effect."""
    assert target.post("/lb/drain/checkout").status_code == 401
    assert target.post("/lb/drain/checkout", headers=TOKEN).json()["weight"] == 0
    assert [each["action"] for each in target.get("/effects").json()["effects"]] == ["drain"]


def test_the_same_key_is_one_effect(target: httpx.Client) -> None:
    """A repeated Idempotency-Key counts up one effect instead of making two."""
    for key in ("k1", "k1", "k2"):
        target.post("/hosts/restart/checkout", headers={"Idempotency-Key": key})
    effects = target.get("/effects").json()["effects"]
    assert [(each["key"], each["count"]) for each in effects] == [("k1", 2), ("k2", 1)]


def test_a_restarted_service_becomes_healthy(target: httpx.Client) -> None:
    """Health is lost at the restart and comes back a little later."""
    target.post("/hosts/restart/api")
    assert target.get("/hosts/health/api").json()["ok"] is False
    for _ in range(200):
        if target.get("/hosts/health/api").json()["ok"]:
            return
    pytest.fail("the service never became healthy")


def test_trouble_comes_when_asked_for(target: httpx.Client) -> None:
    """A fault answers with its status as often as asked, and has no effect on the estate."""
    target.post("/faults", json={"path": "/hosts/restart/api", "status": 503, "times": 2})
    codes = [target.post("/hosts/restart/api").status_code for _ in range(3)]
    assert codes == [503, 503, 200]
    assert len(target.get("/effects").json()["effects"]) == 1
    assert target.post("/hosts/restart/nothing").status_code == 404
