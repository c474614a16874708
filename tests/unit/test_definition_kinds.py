"""Containers, cleanup, undo and the other kinds of steps: what they come to, and what people read when they are wrong."""

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
from engine.definition.kinds import KINDS, references_in, render_with
from engine.definition.load import examine, load
from engine.definition.model import Concurrency, Runbook, Step
from engine.expressions import render

ROOT = Path(__file__).parents[2]
HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"
H = "type: http, with: {url: 'https://h'}"
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
    """Scopes are found by container and block, and roots, successors and ancestors stay inside them."""
    loaded = runbook(FULL)
    assert [step.id for step in graph.scope_steps(loaded)] == ["start", "each", "came", "other"]
    assert [step.id for step in graph.scope_steps(loaded, None, "finally")] == ["gate", "last"]
    assert [step.id for step in graph.scope_steps(loaded, None, "on_failure")] == ["tell"]
    inner = graph.scope_steps(loaded, "each", "steps")
    assert graph.roots_in(inner) == ("call",)
    assert graph.successors_in(inner) == {"call": ("ok",), "ok": ()}
    assert graph.ancestors_in(inner) == {"call": frozenset(), "ok": frozenset({"call"})}
    assert graph.scope_steps(loaded, "ok", "else") == ()
    assert graph.successors(loaded)["start"] == ("each",)
    with pytest.raises(KeyError):
        graph.scope_steps(loaded, "each", "then")


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
    assert references_in(loaded.by_id["c"]) == {("index",), ("params", "n")}
    assert references_in(runbook(FULL).by_id["start"]) == {("response", "json", "id")}


MISTAKES = {
    "other tools' words": (
        steps(f"{{id: a, type: loop, with: {{for_each: [1], tasks: [{IN}], parallel: 2}}, ignore_errors: true, rollback: {{}}}}") + "on_error: []\nalways: []\n",
        [
            "5:31 step `a`: `with.steps` is required",
            "5:31 step `a`: `with` needs either `items` or `while`, and not both",
            "5:32 step `a`: `with.for_each` is not known here; did you mean `items`?",
            "5:47 step `a`: `with.tasks` is not known here; did you mean `steps`?",
            "5:104 step `a`: `with.parallel` is not known here; did you mean `max_parallel`?",
            "5:118 step `a`: `ignore_errors` is not known here; did you mean `continue_on_error`?",
            "5:139 step `a`: `rollback` is not known here; did you mean `undo`?",
            "6:1 `on_error` is not known here; did you mean `on_failure`?",
            "7:1 `always` is not known here; did you mean `finally`?",
        ],
    ),
    "loops": (
        steps(
            f"{{id: a, type: loop, with: {{items: [1], while: 'true', steps: [{IN}]}}}}",
            "{id: b, type: loop, with: {while: 'index < 3', max_parallel: 2, steps: []}}",
            "{id: c, type: loop, with: 5}",
        ),
        [
            "5:31 step `a`: `with` needs either `items` or `while`, and not both",
            "6:52 step `b`: `with.max_parallel` goes with `items`: the rounds of a `while` follow each other",
            "6:76 step `b`: `with.steps` must not be empty",
            "7:31 step `c`: `with` must be a mapping, not a whole number",
        ],
    ),
    "branches": (
        steps(f"{{id: a, type: branch, with: {{if: '{{{{ params.x }}}}', steps: [{IN}]}}}}", "{id: b, type: branch, then: [], with: {if: 'true', then: [5, {type: http, with: {uri: x}}]}}"),
        [
            "5:33 step `a`: `with.then` is required",
            "5:38 step `a`: `with.if` is a bare expression: leave the {{ }} out",
            "5:56 step `a`: `with.steps` is not known here; there is if, then, else",
            "6:27 step `b`: `then` belongs inside `with`",
            "6:63 step 1 of `then`: `with.then[0]` must be a mapping, not a whole number",
            "6:66 step 2 of `then`: `id` is required",
            "6:85 step 2 of `then`: `with.url` is required",
            "6:86 step 2 of `then`: `with.uri` is not known here; did you mean `url`?",
        ],
    ),
    "needs of another list": (
        steps(f"{{id: a, {H}}}", f"{{id: br, type: branch, with: {{if: 'true', then: [{{id: c, needs: [a], {H}}}, {{id: d, needs: [e], {H}}}], else: [{{id: e, {H}}}]}}}}", f"{{id: f, needs: [c, nope], {H}}}")
        + f"finally:\n  - {{id: g, needs: [f], {H}}}\n",
        [
            "6:70 step `c`: `needs` names steps of the same list only, and `a` stands in the main steps",
            "6:129 step `d`: `needs` names steps of the same list only, and `e` stands in `else` of `br`",
            "7:21 step `f`: `needs` names steps of the same list only, and `c` stands in `then` of `br`",
            "7:24 step `f`: there is no step `nope`",
            "9:21 step `g`: `needs` names steps of the same list only, and `f` stands in the main steps",
        ],
    ),
    "rings inside": (
        steps(f"{{id: a, type: loop, with: {{items: [1], steps: [{{id: b, needs: [c], {H}}}, {{id: c, {H}}}]}}}}"),
        ["5:67 step `b`: steps wait for each other in a ring: `b` needs `c` needs `b`"],
    ),
    "one id for two": (
        steps(f"{{id: a, {H}}}", f"{{id: br, type: branch, with: {{if: 'true', then: [{{id: a, {H}}}, {{id: g, {H}}}]}}}}") + f"finally:\n  - {{id: g, {H}}}\n",
        [
            "6:59 step `a`: the id `a` is taken by step number 1",
            "8:10 step `g`: the id `g` is taken by step number 2 in `then` of `br`",
        ],
    ),
    "outputs out of sight": (
        steps(
            f"{{id: br, type: branch, with: {{if: 'true', then: [{{id: c, if: 'steps.br.outputs.taken', {H}}}], else: [{{id: e, if: 'steps.c.outputs.x', {H}}}]}}}}",
            f"{{id: lp, type: loop, with: {{items: [1], steps: [{{id: d, if: 'steps.br.outputs.done and item and index', {H}}}, {{id: lp2, type: loop, with: {{items: '{{{{ item }}}}', steps: [{{id: z, if: 'steps.d.outputs.x', {H}}}]}}}}]}}}}",
            f"{{id: f, if: 'steps.c.outputs.x or steps.d.outputs.x or steps.z.outputs.y or steps.lp.outputs.result or item', {H}}}",
        ),
        [
            "5:66 step `c`: `if`: `steps.br` is around this step and has not ended yet",
            "5:151 step `e`: `if`: `steps.c` has not ended when this step starts",
            "6:65 step `d`: `if`: `steps.br` has no output `done`; there is steps, taken",
            "7:17 step `f`: `if`: `item` is not there outside a loop",
            "7:17 step `f`: `if`: `steps.c` stands inside `br`: from here read `steps.br.outputs.steps.c`",
            "7:17 step `f`: `if`: `steps.d` stands inside `lp`: from here read `steps.lp.outputs.results`",
            "7:17 step `f`: `if`: `steps.lp` has no output `result`; did you mean `results`?",
            "7:17 step `f`: `if`: `steps.z` stands inside `lp`: from here read `steps.lp.outputs.results`",
        ],
    ),
    "what a while can read": (
        steps(f"{{id: w, type: loop, with: {{while: 'item and steps.in.outputs.status == 200 and steps.w.outputs.rounds', steps: [{IN}, {{id: q, if: 'item == index', {H}}}]}}}}"),
        [
            "5:39 step `w`: `with.while`: `item` is there in a loop over `items` only; a `while` has `index`",
            "5:39 step `w`: `with.while`: `steps.w` is this step itself, which has not ended yet",
            "5:177 step `q`: `if`: `item` is there in a loop over `items` only; a `while` has `index`",
        ],
    ),
    "a loop reads its own steps": (
        steps(f"{{id: w, type: loop, if: 'steps.in.outputs.x', with: {{items: [1], steps: [{IN}]}}}}"),
        ["5:29 step `w`: `if`: `steps.in` stands inside this step and has not ended yet"],
    ),
    "outputs": (
        steps(
            f"{{id: a, outputs: {{n: '{{{{ response.json.n }}}}', 1x: 1, s: '{{{{ secrets.x }}}}', me: '{{{{ steps.a.outputs.n }}}}'}}, {H}}}",
            "{id: b, type: delay, outputs: {r: '{{ response.status }}'}, with: {for: 5s}}",
            f"{{id: c, if: 'steps.a.outputs.m == 1 and outputs.x', {H}}}",
            f"{{id: e, type: loop, outputs: {{all: '{{{{ outputs.result }}}}'}}, with: {{items: [1], steps: [{IN}]}}}}",
        )
        + "outputs: {x: '{{ steps.e.outputs.al }}', y: '{{ steps.in.outputs.z }}', z: '{{ secrets.a }}'}\n",
        [
            "5:51 step `a`: `outputs.1x` must be letters, digits and underscores, starting with a letter, at most 63 characters",
            "5:61 step `a`: `outputs.s`: secrets may stand in a call's headers, query, auth and body only",
            "5:84 step `a`: `outputs.me`: `steps.a` is this step itself, which has not ended yet",
            "6:39 step `b`: `outputs.r`: `response` is there in a poll's `until` and in the `outputs` of a call only",
            "7:17 step `c`: `if`: `outputs` alone is there in a step's `outputs` only; name the step, as in `steps.drain.outputs`",
            "7:17 step `c`: `if`: `steps.a` has no output `m`; did you mean `me`?",
            "8:40 step `e`: `outputs.all`: there is no `outputs.result`; did you mean `results`?",
            "9:14 `outputs.x`: `steps.e` has no output `al`; did you mean `all`?",
            "9:45 `outputs.y`: `steps.in` stands inside `e`: from here read `steps.e.outputs.results`",
            "9:76 `outputs.z`: secrets may stand in a call's headers, query, auth and body only",
        ],
    ),
    "undo": (
        steps(
            f"{{id: a, undo: {{type: approval, with: {{approvers: {{users: [U123]}}}}}}, {H}}}",
            f"{{id: b, undo: {{type: http, url: 'https://h', needs: [], with: {{url: 'ftp://x', timeout: 3s}}}}, {H}}}",
            f"{{id: c, undo: {{type: http, timeout: 25h, with: {{url: 'https://h', json: '{{{{ steps.c.outputs.x }}}}{{{{ steps.d.outputs.x }}}}{{{{ parms }}}}'}}}}, {H}}}",
            f"{{id: d, {H}}}",
        )
        + f"finally:\n  - {{id: g, undo: {{type: delay, with: {{for: 1s}}}}, {H}}}\n",
        [
            "5:26 step `a`: `undo.type` must be one of http, grpc, poll, delay, message, runbook",
            "6:32 step `b`: `undo.url` belongs inside `with`",
            "6:50 step `b`: `undo.needs` is not known here; there is name, type, with, timeout, retry, idempotent",
            "6:73 step `b`: `undo.with.url`: a URL starts with http:// or https://, written out and not taken from a value",
            "6:84 step `b`: `undo.with.timeout` belongs on the step, beside `with`",
            "7:41 step `c`: `undo.timeout` must be between 1ms and 1d",
            "7:77 step `c`: `undo.with.json`: `steps.d` has not ended when this step starts",
            "7:77 step `c`: `undo.with.json`: unknown name `parms`; did you mean `params`?",
            "10:13 step `g`: `undo` is for the main steps: what runs in `finally` stays",
        ],
    ),
    "grpc": (
        steps(
            "{id: a, type: grpc, with: {target: 'https://h', service: 'a b', method: x.y, message: 5}}",
            "{id: b, type: grpc, with: {target: '{{ params.h }}:443', service: a.B, method: C, metadata: {Auth: x, grpc-timeout: 1, idempotency-key: 2}}}",
            "{id: c, type: grpc, with: {target: 'h:{{ params.p }}', service: S, method: M, url: 'https://h'}, on_timeout: fail}",
            "{id: d, type: grpc, with: {target: 'unix:/x', service: S, method: M}}",
        ),
        [
            "5:40 step `a`: `with.target` must be a host and a port, as in orders.internal:443",
            "5:62 step `a`: `with.service` must be a service's full name, such as shop.v1.Orders",
            "5:77 step `a`: `with.method` must be a method's name, such as Cancel",
            "5:91 step `a`: `with.message` must be a mapping, not a whole number",
            "6:40 step `b`: `with.target`: there is no parameter `h`",
            "6:98 step `b`: `with.metadata.Auth` is not a metadata key: lower-case letters, digits, dashes, dots and underscores",
            "6:107 step `b`: `with.metadata.grpc-timeout` is set by the bot itself; leave it out",
            "6:124 step `b`: `with.metadata.idempotency-key` is set by the bot itself; leave it out",
            "7:40 step `c`: `with.target` must be a host and a port, as in orders.internal:443",
            "7:83 step `c`: `with.url` is not known here; did you mean `target`?",
            "7:102 step `c`: `on_timeout` is for approval steps only",
            "8:40 step `d`: `with.target` must be a host and a port, as in orders.internal:443",
        ],
    ),
    "a target from any value": (
        "parameters: {type: object, properties: {h: {type: string}}}\n" + steps("{id: a, type: grpc, with: {target: '{{ params.h }}:443', service: S, method: M}}"),
        ["6:40 step `a`: `with.target`: inside the host name only a parameter with an `enum` may stand, as in https://{{ params.region }}.example"],
    ),
    "wait, delay and message": (
        steps(
            "{id: a, type: wait, on_timeout: reject, retry: {}, with: {key: '{{ secrets.k }}'}}",
            "{id: b, type: delay, timeout: 3s, with: {for: 8d}}",
            "{id: c, type: delay, with: {for: soon}}",
            "{id: d, type: message, timeout: 3s, idempotent: true, with: {message: hi, channel: '#ops'}}",
            "{id: e, type: message, with: {text: '{{ secrets.k }}'}}",
            "{id: f, type: delay, with: {seconds: 3}}",
        ),
        [
            "5:25 step `a`: `on_timeout` is for approval steps only",
            "5:45 step `a`: `retry` is for http and grpc steps only",
            "5:68 step `a`: `with.key`: secrets may stand in a call's headers, query, auth and body only",
            "6:26 step `b`: `timeout` is not for a delay, which takes as long as its `for` says",
            "6:51 step `b`: `with.for` must be between 1ms and 7d",
            "7:38 step `c`: `with.for`: `soon` is not a duration; write it like 30s, 15m, 1h30m or 500ms",
            "8:28 step `d`: `timeout` is not for a message, which is handed over at once",
            "8:41 step `d`: `idempotent` is for http and grpc steps only",
            "8:65 step `d`: `with.text` is required",
            "8:66 step `d`: `with.message` is not known here; did you mean `text`?",
            "8:88 step `d`: `with.channel` must be a Slack channel's id, such as C0INCIDENT",
            "9:41 step `e`: `with.text`: secrets may stand in a call's headers, query, auth and body only",
            "10:32 step `f`: `with.for` is required",
            "10:33 step `f`: `with.seconds` is not known here; did you mean `for`?",
        ],
    ),
    "runbooks": (
        steps(
            "{id: a, type: runbook, with: {id: x}}",
            "{id: b, type: runbook, with: {id: 'a{{ params.x }}', version: 2, parameters: {}}}",
            "{id: c, type: runbook, with: {id: y, params: {s: '{{ secrets.s }}'}}}",
        ),
        [
            "5:39 step `a`: a runbook cannot start itself",
            "6:39 step `b`: `with.id` must be lower-case letters, digits and dashes, starting with a letter, at most 63 characters",
            "6:58 step `b`: `with.version` is not known here; there is id, params",
            "6:70 step `b`: `with.parameters` is not known here; did you mean `params`?",
            "7:54 step `c`: `with.params.s`: secrets may stand in a call's headers, query, auth and body only",
        ],
    ),
    "minima": (
        steps(
            "{id: a, type: approval, with: {approvers: {minima: [{group: a, role: responder}, {group: dba, count: 0}, {role: team_admin}]}}}",
            "{id: b, type: approval, with: {min_approvals: 3, approvers: {users: [U111], minima: [{user: U222, count: 2}, {user: U222}]}}}",
            "{id: c, type: approval, with: {approvers: {minima: [{role: team_admin}]}}}",
        ),
        [
            "5:57 step `a`: `with.approvers.minima[0]` must name exactly one role, group or user",
            "5:106 step `a`: `with.approvers.minima[1].count` must be at least 1",
            "6:51 step `b`: 3 must approve, and only 2 may: nobody could ever start what follows",
            "6:110 step `b`: one person approves once: for a `user` the `count` is 1",
            "6:121 step `b`: the user `U222` has a minimum already",
            "7:64 step `c`: `team_admin` has nobody in it here: the runbook belongs to no `team`",
        ],
    ),
    "cleanup": (
        steps(f"{{id: a, {H}}}") + "on_failure: []\nfinally:\n  - {id: g, type: approval, on_timeout: approve, with: {approvers: {users: [U123]}}}\n  - {type: http}\n",
        [
            "6:13 `on_failure` must not be empty",
            "8:41 step `g`: `on_timeout`: approve is not allowed in `finally`",
            "9:5 step 2 of `finally`: `id` is required",
            "9:5 step 2 of `finally`: `with` is required",
        ],
    ),
    "who runs before whom": (
        steps(f"{{id: a, if: 'steps.g.outputs.x', {H}}}") + f"on_failure:\n  - {{id: g, if: 'steps.a.outputs.x and steps.k.outputs.x', {H}}}\nfinally:\n  - {{id: k, if: 'steps.g.outputs.x', {H}}}\n",
        [
            "5:17 step `a`: `if`: `steps.g` has not ended when this step starts",
            "7:17 step `g`: `if`: `steps.k` has not ended when this step starts",
        ],
    ),
    "the short form has no cleanup": (
        f"webhook: {{url: 'https://h'}}\nfinally: [{IN}]\non_failure: [{{id: a, {H}}}]\n",
        [
            "5:1 `finally` goes with `steps`; a `webhook` is one call and nothing else",
            "6:1 `on_failure` goes with `steps`; a `webhook` is one call and nothing else",
        ],
    ),
    "the short form's outputs": (
        "webhook: {url: 'https://h'}\noutputs: {s: '{{ steps.webhook.outputs.status }}', t: '{{ steps.a.outputs.status }}'}\n",
        ["5:55 `outputs.t`: there is no step `a`; there is webhook"],
    ),
    "concurrency": (
        "concurrency: {group: '{{ steps.a.outputs.x }}{{ secrets.s }}{{ execution.id }}{{ item }}', limit: 0, on_conflict: cancel}\n" + steps(f"{{id: a, {H}}}"),
        [
            "4:22 `concurrency.group`: `execution.id` is not there before the execution starts",
            "4:22 `concurrency.group`: `item` is not there outside a loop",
            "4:22 `concurrency.group`: `steps` is not there before the execution starts",
            "4:22 `concurrency.group`: secrets may stand in a call's headers, query, auth and body only",
            "4:99 `concurrency.limit` must be at least 1",
            "4:115 `concurrency.on_conflict` must be one of queue, reject",
        ],
    ),
    "concurrency's words": (
        "concurrency: {key: a, limit: 1001}\n" + steps(f"{{id: a, {H}}}"),
        [
            "4:14 `concurrency.group` is required",
            "4:15 `concurrency.key` is not known here; did you mean `group`?",
            "4:30 `concurrency.limit` must be at most 1000",
        ],
    ),
    "auth": (
        steps(
            "{id: a, type: http, with: {url: 'https://h', redirects: 6, auth: {type: hmac, token: t, header: Host}}}",
            "{id: b, type: http, with: {url: 'https://h', headers: {authorization: x}, auth: {type: oauth2, token_url: 'https://{{ incident.id }}/t', client_id: a, client_secret: b}}}",
            "{id: c, type: http, with: {url: 'https://h', auth: {type: oauth2, token_url: 'ftp://x', client_id: a, client_secret: b}}}",
            "{id: d, type: http, with: {url: 'https://h', auth: {type: aws_sigv4, access_key: a, secret_key: b, prefix: x}}}",
            "{id: e, type: http, with: {url: 'https://h', headers: {x-signature: x}, auth: {type: hmac, secret: t}}}",
        ),
        [
            "5:61 step `a`: `with.redirects` must be at most 5",
            "5:70 step `a`: `with.auth.secret` is required",
            "5:90 step `a`: `with.auth.token` does not go with this `type`",
            "5:101 step `a`: `with.auth.header` cannot be a header that the bot sets itself",
            "6:60 step `b`: `with.headers.authorization` cannot stand beside `auth`, which sets it",
            "6:111 step `b`: `with.auth.token_url` must be written out, without values: the client's secret is sent there",
            "7:82 step `c`: `with.auth.token_url`: a URL starts with http:// or https://, written out and not taken from a value",
            "8:56 step `d`: `with.auth.region` is required",
            "8:56 step `d`: `with.auth.service` is required",
            "8:112 step `d`: `with.auth.prefix` does not go with this `type`",
            "9:60 step `e`: `with.headers.x-signature` cannot stand beside `auth`, which sets it",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_people_read_what_is_wrong(name: str) -> None:
    """Each mistake is told with its line, column and the nearest right word, and all of a file at once."""
    rest, expected = MISTAKES[name]
    assert problems(rest) == expected


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
            "concurrency: {group: a}\n" + steps("{id: a, type: wait, with: {key: k}}"),
            ["6:5 step `a`: while this waits, its execution holds the only place of its `concurrency` group, and others queue"],
        ),
        ("concurrency: {group: a, on_conflict: reject}\n" + steps("{id: a, type: wait, with: {key: k}}"), []),
        ("concurrency: {group: a, limit: 2}\n" + steps("{id: a, type: wait, with: {key: k}}"), []),
        (
            steps("{id: a, type: loop, with: {items: [1], steps: [{id: b, type: http, retry: {}, with: {method: POST, url: 'https://h'}}]}}"),
            ["5:79 step `b`: `retry` does little here: a call that is not `idempotent` is tried again only when it surely never arrived or the "
             "server asked for it; say `idempotent: true` if the target may safely get it twice; each round that stops at an unknown outcome waits for a person"],
        ),
        (
            steps(f"{{id: a, {H}, undo: {{type: http, with: {{method: POST, url: 'https://h'}}}}}}"),
            ["5:57 step `a`: an undo whose call is not `idempotent` stops for a person when its outcome is not seen; say "
             "`idempotent: true` if the target may safely get it twice"],
        ),
        (steps(f"{{id: a, {H}, undo: {{type: http, idempotent: true, with: {{method: POST, url: 'https://h'}}}}}}"), []),
        (
            steps(f"{{id: a, {H}}}")
            + f"on_failure:\n  - {{id: b, if: 'steps.a.outputs.status == 200', {H}}}\n"
            + "finally:\n  - {id: c, type: message, with: {text: '{{ steps.b.outputs.status }}'}}\n"
            + f"  - {{id: d, if: 'steps.c.outputs.x', {H}}}\n",
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
    """Every example loads without a warning."""
    text = example if example.startswith("apiVersion") else HEAD + PARAMETERS + "steps:\n" + example
    examined = examine(text.encode(), "kinds.md")
    assert (examined.problems, examined.warnings) == ((), ())


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
    mark(main, reader, f"steps.{target}.outputs | default(0)")
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
