"""Containers, cleanup, undo and the other kinds of steps: what they come to, how they stand, and what may be read."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition import codec, graph, lint
from engine.definition.kinds import KINDS
from engine.definition.load import examine, load
from engine.definition.model import Concurrency, Runbook, Step
from engine.definition.rendering import render_with
from engine.expressions import render

ROOT = Path(__file__).parents[2]
HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"
H = "type: http, with: {url: 'https://h'}"
P = "type: http, with: {method: PUT, url: 'https://h'}"
IN = f"{{id: in, {H}}}"


def runbook(rest: str) -> Runbook:
    return load((HEAD + rest).encode(), "x.yaml")


def problems(rest: str) -> list[str]:
    return [f"{p.line}:{p.column} {p.message}" for p in examine((HEAD + rest).encode(), "x.yaml").problems]


def warnings(rest: str) -> list[str]:
    examined = examine((HEAD + rest).encode(), "x.yaml")
    assert examined.runbook is not None, examined.problems
    return [f"{w.line}:{w.column} {w.message}" for w in examined.warnings]


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {line}\n" for line in lines)


FULL = """\
concurrency: {group: "g-{{ params.h }}", limit: 3, on_conflict: reject}
parameters: {type: object, properties: {h: {type: array}}, required: [h]}
steps:
  - id: start
    type: http
    name: Start it
    with: {method: POST, url: "https://h", redirects: 2}
    continue_on_error: true
    outputs: {job: "{{ response.json.id }}"}
    undo: {type: http, with: {method: DELETE, url: "https://h/{{ steps.start.outputs.job }}"}, timeout: 5s}
  - id: each
    type: loop
    timeout: 2d
    with:
      items: "{{ params.h }}"
      max_parallel: 4
      steps:
        - {id: call, type: grpc, with: {target: "h:443", service: a.B, method: C, message: {host: "{{ item }}"}}}
        - id: ok
          type: branch
          with:
            if: "steps.call.outputs.json.ok"
            then: [{id: rest, type: delay, with: {for: 90}}]
  - {id: came, type: wait, with: {key: "k-{{ steps.each.outputs.rounds }}"}}
  - {id: other, type: runbook, with: {id: y}}
on_failure: [{id: tell, type: message, with: {text: "{{ steps.start.outputs.job | default('none') }}"}}]
finally:
  - {id: gate, type: approval, with: {approvers: {users: [U111], minima: [{group: dba}, {user: U111}]}}}
  - {id: last, type: delay, with: {for: "{{ params.h | length }}m"}}
outputs: {rounds: "{{ steps.each.outputs.rounds }}"}
"""


def test_a_whole_file_becomes_a_runbook() -> None:
    """Containers hold their steps, undo and cleanup are steps too, and every default is filled in."""
    loaded = runbook(FULL)
    assert loaded.concurrency == Concurrency("g-{{ params.h }}", 3, "reject")
    assert loaded.outputs == {"rounds": "{{ steps.each.outputs.rounds }}"}
    start, each, came, other = loaded.steps
    assert (start.continue_on_error, start.outputs) == (True, {"job": "{{ response.json.id }}"})
    assert start.undo == Step(
        id="start.undo",
        kind="http",
        needs=(),
        with_={"method": "DELETE", "url": "https://h/{{ steps.start.outputs.job }}"},
        timeout_ms=5_000,
        idempotent=True,
        name="Undo: Start it",
    )
    assert each.with_ == {"items": "{{ params.h }}", "max_parallel": 4, "max_failures": 0}
    assert each.timeout_ms == 172_800_000
    call, ok = each.blocks["steps"]
    assert (call.needs, ok.needs, call.idempotent, call.timeout_ms) == ((), ("call",), False, 30_000)
    assert call.with_["tls"] is True
    assert ok.with_ == {"if": "steps.call.outputs.json.ok"}
    assert ok.blocks["else"] == ()
    assert ok.blocks["then"][0].with_ == {"for": "1m30s"}
    assert (came.needs, came.timeout_ms, other.with_) == (("each",), 3_600_000, {"id": "y", "params": {}})
    assert loaded.on_failure[0].with_["thread"] is True
    gate, last = loaded.finally_
    assert gate.with_["approvers"] == {
        "users": ["U111"],
        "groups": ["dba"],
        "minima": [{"group": "dba", "count": 1}, {"user": "U111", "count": 1}],
    }
    assert (last.needs, last.with_) == (("gate",), {"for": "{{ params.h | length }}m"})
    assert loaded.by_id["start.undo"] is start.undo
    assert loaded.container_of == {"call": ("each", "steps"), "ok": ("each", "steps"), "rest": ("ok", "then")}
    assert codec.from_canonical(codec.canonical(loaded)) == loaded


def test_each_list_of_steps_is_a_graph_by_itself() -> None:
    """Successors and ancestors stay inside it."""
    loaded = runbook(FULL)
    inner = loaded.by_id["each"].blocks["steps"]
    assert graph.successors_in(inner) == {"call": ("ok",), "ok": ()}
    assert graph.ancestors_in(inner) == {"call": frozenset(), "ok": frozenset({"call"})}
    assert graph.successors(loaded)["start"] == ("each",)


def test_what_the_kinds_render() -> None:
    """Templates in each kind's `with` are rendered, and conditions and fixed keys stay as they are."""
    loaded = runbook(
        "parameters: {type: object, properties: {r: {enum: [eu]}, n: {type: integer}}, required: [r, n]}\n"
        + steps(
            "{id: a, type: grpc, with: {target: '{{ params.r }}.h:443', service: S, method: M, metadata: {a: 'Bearer {{ secrets.t }}'}}}",
            "{id: b, type: delay, with: {for: '{{ params.n }}'}}",
            "{id: c, type: loop, with: {while: 'index < params.n', steps: [" + IN + "]}}",
            "{id: d, type: message, with: {text: 'n={{ params.n }}'}}",
            "{id: e, type: runbook, with: {id: y, params: {n: '{{ params.n }}'}}}",
        )
    )
    context = {"params": {"r": "eu", "n": 3}, "secrets": {"t": "t0ken"}}
    assert render_with(loaded.by_id["a"], context)["target"] == "eu.h:443"
    assert render_with(loaded.by_id["a"], context)["metadata"] == {"a": "Bearer t0ken"}
    assert render_with(loaded.by_id["b"], context) == {"for": 3}
    assert render_with(loaded.by_id["c"], context)["while"] == "index < params.n"
    assert render_with(loaded.by_id["d"], context) == {"thread": True, "text": "n=3"}
    assert render_with(loaded.by_id["e"], context) == {"id": "y", "params": {"n": 3}}


def nested(levels: int) -> str:
    inner = f"{{id: deep, {H}}}"
    for level in range(levels):
        inner = f"{{id: l{level}, type: loop, with: {{items: [1], steps: [{inner}]}}}}"
    return steps(inner)


@pytest.mark.parametrize(
    ("levels", "said"),
    [(5, None), (6, "step `l0`: branches and loops stand in each other at most 5 deep"), (9, "at most 5 deep"), (12, "nested more than 32")],
)  # fmt: skip
def test_nesting_is_bounded(levels: int, said: str | None) -> None:
    """Five containers may stand in each other; a file that is nested deeper is refused, however deep."""
    found = problems(nested(levels))
    assert len(found) == (said is not None)
    assert all(said in line for line in found)


def test_steps_are_counted_wherever_they_stand() -> None:
    """Inner steps and cleanup count too, and a file of nothing but steps is refused soon."""
    inner = ", ".join(f"{{id: s{i}, {H}}}" for i in range(150))
    loop = f"{{id: each, type: loop, with: {{items: [1], steps: [{inner}]}}}}"
    cleanup = "finally:\n" + "".join(f"  - {{id: f{i}, {H}}}\n" for i in range(50))
    assert problems(steps(loop) + cleanup) == ["56:5 step `f49`: a runbook has at most 200 steps"]
    many = ", ".join("{id: a}" for _ in range(4_500))
    start = time.thread_time()
    assert [
        line.partition(" ")[2] for line in problems(steps(f"{{id: each, type: loop, with: {{steps: [{many}]}}}}"))
    ] == ["step `a`: a runbook has at most 200 steps"]
    assert time.thread_time() - start < 2


def test_a_file_of_all_allowed_steps_is_checked_soon() -> None:
    """200 steps in nested lists, each reading what ended before, take less than half a second."""
    inner = "".join(
        f"      - {{id: s{i}, type: http, with: {{url: 'https://h/{{{{ item }}}}', json: '{{{{ steps.s{i - 1}.outputs.json }}}}'}}}}\n"
        for i in range(1, 198)
    )
    text = (
        HEAD
        + f"steps:\n- {{id: first, {H}}}\n- id: each\n  type: loop\n  with:\n    items: [1]\n    steps:\n      - {{id: s0, {H}}}\n{inner}"
    )
    start = time.thread_time()
    assert len(load(text.encode(), "x.yaml").by_id) == 200
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            "concurrency: {group: a}\n" + steps("{id: a, type: wait, with: {key: k, from: [ci]}}"),
            ["6:5 step `a`: while this waits, its run holds the only slot of its `concurrency` group, and others queue"],
        ),
        (
            steps("{id: a, type: wait, with: {key: k}}", "{id: b, type: wait, with: {key: k, from: [ci], shared: true}}"),
            ["5:37 step `a`: every sender who sends for this team may end this wait: name those who may, as in `from: [ci]`",
             "6:60 step `b`: `shared: true` takes events that are for other teams, and what is in them"],
        ),
        ("concurrency: {group: a, on_conflict: reject}\n" + steps("{id: a, type: wait, with: {key: k, from: [ci]}}"), []),
        ("concurrency: {group: a, limit: 2}\n" + steps("{id: a, type: wait, with: {key: k, from: [ci]}}"), []),
        (
            steps("{id: a, type: loop, with: {items: [1], steps: [{id: b, type: http, retry: {}, with: {method: POST, url: 'https://h'}}]}}"),
            ["5:79 step `b`: `retry` does little here: a call that is not `idempotent` is tried again only when it surely never arrived or the "
             "server asked for it; say `idempotent: true` if the target may safely get it twice; each round that stops at an unknown outcome waits for a person"],
        ),
        (
            steps(f"{{id: a, {P}, undo: {{type: http, with: {{method: POST, url: 'https://h'}}}}}}"),
            ["5:70 step `a`: an undo whose call is not `idempotent` stops for a person when its outcome is not seen; say "
             "`idempotent: true` if the target may safely get it twice"],
        ),
        (steps(f"{{id: a, {P}, undo: {{type: http, idempotent: true, with: {{method: POST, url: 'https://h'}}}}}}"), []),
        (
            steps(f"{{id: a, {H}}}")
            + f"on_failure:\n  - {{id: b, if: 'steps.a.outputs.status == 200', {H}}}\n"
            + "finally:\n  - {id: c, type: message, with: {text: '{{ steps.b.outputs.status }}'}}\n"
            + f"  - {{id: d, if: 'steps.c.outputs.text == 1', {H}}}\n",
            ["7:17 step `b`: `steps.a` need not have run: give what is read of it a `default`",
             "9:41 step `c`: `steps.b` need not have run: give what is read of it a `default`"],
        ),
        (
            steps(f"{{id: w, type: loop, with: {{while: 'steps.in.outputs.json.more', steps: [{IN}]}}}}",
                  "{id: v, type: loop, with: {while: 'steps.v1.outputs.json.more | default(true)', steps: [{id: v1, type: http, with: {url: 'https://h'}}]}}"),
            ["5:39 step `w`: `steps.in` has not run before the first round: give what is read of it a `default`"],
        ),
        (
            steps("{id: w, type: loop, with: {items: [1], steps: [{id: g, type: approval, on_timeout: approve, with: {approvers: {users: [U123]}}}]}}"),
            ["5:88 step `g`: `on_timeout: approve` lets the steps behind it run when nobody looked"],
        ),
    ],
)  # fmt: skip
def test_warnings(rest: str, expected: list[str]) -> None:
    """What is allowed and deserves a second look is said, at its place, wherever the step stands."""
    assert warnings(rest) == expected
    assert len(lint.warnings(runbook(rest))) == len(expected)


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kinds.md").read_text("utf-8"), re.DOTALL)
PARAMETERS = """\
parameters:
  type: object
  required: [order, service, release, replicas, hosts, minutes]
  properties:
    order: {type: string}
    service: {type: string}
    release: {type: string}
    replicas: {type: integer}
    hosts: {type: array, items: {type: string}}
    minutes: {type: integer}
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.partition("\n")[0].removeprefix("- id: "))
def test_what_the_documentation_shows_is_right(example: str) -> None:
    """Every example loads without a warning, but for parameters that are there for others."""
    text = example if example.startswith("apiVersion") else HEAD + PARAMETERS + "steps:\n" + example
    examined = examine(text.encode(), "kinds.md")
    warned = [each for each in examined.warnings if each.rule != "unused-parameter"]
    assert (examined.problems, warned) == ((), [])


def test_the_documentation_shows_every_kind() -> None:
    """Each kind that has a section there has an example, and no kind is left out."""
    shown = set(re.findall(r"type: (\w+)", "".join(EXAMPLES)))
    assert set(KINDS) - {"poll"} <= shown
    assert len(EXAMPLES) >= 11


def test_shipped_runbooks_use_containers_cleanup_and_undo() -> None:
    """Among the runbooks that ship are ones with a loop, a branch, minima, undo and cleanup."""
    failover = load((ROOT / "runbooks.d" / "database-failover.yaml").read_bytes(), "f")
    canary = load((ROOT / "runbooks.d" / "canary-rollout.yaml").read_bytes(), "f")
    assert failover.by_id["agree"].with_["approvers"]["groups"] == ["db-owners", "oncall"]
    assert failover.on_failure
    assert failover.by_id["hold-writers"].undo is not None
    assert canary.by_id["regions"].with_["max_failures"] == 1
    assert canary.container_of["roll-out"] == ("verdict", "then")
    members = [{"name": "a", "role": "replica"}, {"name": "b", "role": "leader"}]
    template = failover.by_id["before"].outputs["leader"]
    assert render(template, {"response": {"json": {"members": members}}}) == "b"


LINES = FULL.splitlines()
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(LINES) - 1),
        st.sampled_from(["", "  ", "- ", "x: ", "[", "{", "}", "{{ ", " }}", "steps: ", "id: each", "item", "null", "5", "'"]) | st.text(max_size=3),
        st.integers(0, 80),
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(MUTATIONS, st.permutations(range(len(LINES))) | st.none())
def test_any_text_is_a_runbook_or_is_refused(mutations: list[tuple[int, str, int]], order: list[int] | None) -> None:
    """However a file is mangled, checking it ends soon, with problems or with a runbook that can be stored."""
    lines = list(LINES)
    for index, text, column in mutations:
        lines[index] = lines[index][:column] + text + lines[index][column:]
    lines = [lines[index] for index in order] if order and mutations else lines
    start = time.thread_time()
    examined = examine((HEAD + "\n".join(lines)).encode("utf-8", "surrogatepass"), "f.yaml")
    assert time.thread_time() - start < 0.5
    assert (examined.runbook is None) == bool(examined.problems)
    if examined.runbook is not None:
        assert codec.from_canonical(codec.canonical(examined.runbook)) == examined.runbook


LEAVES = st.sampled_from(["http", "delay", "message"])
SHAPES: st.SearchStrategy[object] = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(["branch", "loop"]), st.lists(inner, min_size=1, max_size=3)), max_leaves=12
)  # fmt: skip
BODIES = {"http": {"url": "https://h"}, "delay": {"for": "5s"}, "message": {"text": "hi"}}


def written(shape: object, ids: list[str], depth: int = 0) -> dict[str, object]:
    """A step of this shape; containers that would stand too deep are left out of the shape."""
    ids.append(f"s{len(ids)}")
    step: dict[str, object] = {"id": ids[-1]}
    if isinstance(shape, str):
        return {**step, "type": shape, "with": BODIES[shape]}
    kind, inner = shape
    if depth == 5:
        return {**step, "type": "delay", "with": BODIES["delay"]}
    body = [written(each, ids, depth + 1) for each in inner]
    return {
        **step,
        "type": kind,
        "with": {"if": "true", "then": body} if kind == "branch" else {"items": [1], "steps": body},
    }


@settings(max_examples=80, deadline=None)
@given(st.lists(SHAPES, min_size=1, max_size=3), st.data())
def test_only_what_has_ended_can_be_read(shapes: list[object], data: st.DataObject) -> None:
    """A step may read exactly what ended before it: what stands earlier in its list or in a list around it."""
    ids: list[str] = []
    main = [written(shape, ids) for shape in shapes]
    reader, target = data.draw(st.sampled_from(ids)), data.draw(st.sampled_from(ids))
    before = seen_before(main, reader, frozenset())
    assert before is not None
    mark(main, reader, f"steps.{target}.outputs | default(false)")
    examined = examine(json.dumps({"apiVersion": "runbook/v1", "id": "x", "name": "X", "steps": main}).encode(), "f")
    assert (examined.runbook is not None) == (target in before), examined.problems


def bodies(step: dict[str, object]) -> list[dict[str, object]]:
    with_ = step["with"]
    return with_.get("then", []) + with_.get("steps", [])


def seen_before(siblings: list[dict[str, object]], reader: str, around: frozenset[str]) -> frozenset[str] | None:
    """The ids that `reader` may read, worked out by walking the lists: each step follows the one above it."""
    seen = around
    for step in siblings:
        if step["id"] == reader:
            return seen
        inner = seen_before(bodies(step), reader, seen)
        if inner is not None:
            return inner
        seen = seen | {step["id"]}
    return None


def mark(siblings: list[dict[str, object]], reader: str, condition: str) -> None:
    for step in siblings:
        if step["id"] == reader:
            step["if"] = condition
        mark(bodies(step), reader, condition)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("'yes'", "this is text"),
        ("1", "this is a number"),
        ("params.count", "`params.count` is a number"),
        ("not params.name", "`params.name` is text"),
        ("params.on and params.hosts", "`params.hosts` is a list"),
        ("params.name | default('false')", "this is text"),
        ("execution.reason", "`execution.reason` is text"),
        ("params.name | length", "this is a number"),
        ("steps.a.outputs", "`steps.a.outputs` is a mapping, or not there"),
        ("true if params.on else 'no'", "this is text"),
    ],
)
def test_what_can_be_no_condition_is_found_beforehand(condition: str, told: str) -> None:
    """Only true and false count, so whatever is certain to be neither is a mistake of the file."""
    parameters = """
parameters:
  type: object
  properties:
    {on: {type: boolean}, count: {type: integer}, name: {type: string}, hosts: {type: array}, open: {}}
"""

    def found(asked: str) -> list[str]:
        return problems(steps(f"{{id: a, {H}}}", f"{{id: b, if: {json.dumps(asked)}, {H}}}") + parameters)

    assert [told in message and "must be true or false" in message for message in found(condition)] == [True]
    for fine in ("params.on", "params.open", "steps.a.outputs.json.ok", "params.name == 'x' or not params.on"):
        assert found(fine) == []
