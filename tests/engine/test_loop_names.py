"""`as`: an inner loop reads what its outer loop is at, and nobody is shown the round of another loop."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Harness, Target, gate, http, runbook

from bot import preview
from engine.definition.load import examine
from storage import approvals, database


def loop(name: str, *steps: dict[str, Any], **with_: Any) -> dict[str, Any]:
    return {"id": name, "type": "loop", "with": {**with_, "steps": list(steps)}}


def test_inner_rounds_read_the_outer_ones(harness: Harness, target: Target) -> None:
    call = http("call", target.url("/") + "{{ region.name }}/{{ region_index }}/{{ host }}/{{ item }}/{{ index }}")
    inner = loop("hosts", call, items="{{ region.hosts }}", **{"as": "host"})
    regions = [{"name": "eu", "hosts": ["a", "b"]}, {"name": "us", "hosts": ["c"]}]
    harness.publish(runbook("demo", loop("regions", inner, items=regions, **{"as": "region"})))
    assert harness.run(harness.start("demo")) == "SUCCESS"
    assert sorted(target.paths()) == ["/eu/0/a/a/0", "/eu/0/b/b/1", "/us/1/c/c/0"]


def test_a_while_counts_by_its_name(harness: Harness, target: Target) -> None:
    inner = loop(
        "again", http("call", target.url("/") + "{{ round_index }}/{{ try_index }}"), items=[1], **{"as": "try"}
    )
    outer = loop("rounds", inner, **{"while": "round_index < 2", "as": "round"})
    harness.publish(runbook("demo", outer))
    assert harness.run(harness.start("demo")) == "SUCCESS"
    assert target.paths() == ["/0/0", "/1/0"]


def test_a_gate_shows_no_other_loops_rounds(harness: Harness) -> None:
    """Two loops that follow each other may use one name: what the first is at is not what the second will get."""
    first = loop(
        "first", gate("ask"), http("near", url="https://h.example.com/{{ host }}"), items=["a"], **{"as": "host"}
    )
    second = loop("second", http("far", url="https://h.example.com/{{ host }}"), items=["z"], **{"as": "host"})
    harness.publish(runbook("demo", first, second))
    run = harness.start("demo")
    harness.advance(run)
    with database.reading():
        (asked,) = approvals.of_execution(run)
    shown = "\n".join(preview.planned(asked.preview))
    assert "https://h.example.com/a" in shown
    assert "https://h.example.com/{{ host }}" in shown


def problems(*steps: dict[str, Any]) -> list[str]:
    return [each.message for each in examine(runbook("demo", *steps).encode(), "x.yaml").problems]


READ = http("read", url="https://h.example.com/{{ host }}")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (loop("l", READ, items=[1], **{"as": "hosts"}), "unknown name `host`; did you mean `hosts`?"),
        (loop("l", READ, items=[1], **{"as": "params"}), "`params` is what templates read already"),
        (loop("l", READ, items=[1], **{"as": "for"}), "`for` is a word of expressions"),
        (loop("l", READ, items=[1], **{"as": "Host"}), "must be lower-case letters"),
        (loop("l", READ, items=[1], item_name="host"), "`with.item_name` is not known here; did you mean `as`?"),
        (loop("l", READ, **{"while": "false", "as": "host"}), "not there in a `while`, which has no items"),
        (loop("l", loop("m", READ, items=[1], **{"as": "host"}), items=[1], **{"as": "host"}), "`l`, a loop around"),
        (loop("l", loop("m", READ, items=[1], **{"as": "host_index"}), items=[1], **{"as": "host"}), "a loop around"),
        (loop("l", READ, items="{{ host }}", **{"as": "host"}), "unknown name `host`"),
    ],
)
def test_check_knows_the_names(step: dict[str, Any], said: str) -> None:
    assert any(said in each for each in problems(step)), problems(step)


def test_a_name_ends_with_its_loop() -> None:
    (problem,) = problems(loop("l", READ, items=[1], **{"as": "host"}), {**READ, "id": "after"})
    assert "step `after`" in problem
    assert "unknown name `host`" in problem
