"""Loading runbook files: what they mean, and what people read when they are wrong."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.access import secrets_file, targets_file
from engine.access.secret_use import cautions, findings
from engine.definition import codec, graph, lint
from engine.definition.durations import parse_duration, show_duration
from engine.definition.kinds import KINDS
from engine.definition.load import check_file, examine, load, must_load
from engine.definition.model import Concurrency, Retry, Runbook, Step
from engine.definition.reaches import reaches
from engine.definition.rehearsals import is_rehearsal
from engine.definition.rendering import render_with
from engine.definition.schema import document
from engine.definition.step_templates import Templates
from engine.definition.targets import resolved
from engine.errors import InvalidDefinition

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path for path in (ROOT / "runbooks.d").glob("*.yaml") if path.name[0] != "_" and not is_rehearsal(path)
)

HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"


def runbook(rest: str) -> Runbook:
    return load((HEAD + rest).encode(), "x.yaml")


def problems(rest: str, head: str = HEAD) -> list[str]:
    """The problems as `line:column message`; the head has three lines."""
    return [f"{p.line}:{p.column} {p.message}" for p in examine((head + rest).encode(), "x.yaml").problems]


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {line}\n" for line in lines)


FULL = """\
description: All of it.
team: payments
tags: [a, b]
risk: medium
timeout: PT20M
max_concurrent_steps: 3
parameters:
  type: object
  properties: {service: {type: string, enum: [api]}}
  required: [service]
steps:
  - id: drain
    name: Drain it
    type: http
    with: {method: POST, url: "https://lb/{{ params.service }}", json: {a: 1}}
    timeout: 1m30s
    retry: {max_attempts: 2, delay: 500ms, backoff: 1.5, max_delay: 10}
  - id: sign-off
    type: approval
    with: {approvers: {roles: [team_admin], groups: [oncall]}}
    on_timeout: reject
  - id: check
    type: poll
    needs: []
    with: {url: "https://lb/", until: "response.status == 200", interval: 2s}
    if: "params.service == 'api'"
"""


def test_a_file_becomes_a_runbook() -> None:
    """Every key of the file arrives in the model, durations in milliseconds and defaults filled in."""
    loaded = runbook(FULL)
    assert (loaded.id, loaded.name, loaded.team, loaded.tags) == ("x", "X", "payments", ("a", "b"))
    assert (loaded.risk, loaded.timeout_ms, loaded.max_concurrent_steps) == ("medium", 1_200_000, 3)
    assert loaded.steps == (
        Step(
            id="drain",
            kind="http",
            needs=(),
            with_={"method": "POST", "url": "https://lb/{{ params.service }}", "json": {"a": 1}},
            timeout_ms=90_000,
            retry=Retry(2, 500, 1.5, 10_000),
            idempotent=False,
            name="Drain it",
        ),
        Step(
            id="sign-off",
            kind="approval",
            needs=("drain",),
            with_={
                "min_approvals": 1,
                "allow_self": False,
                "message": "",
                "approvers": {"roles": ["team_admin"], "groups": ["oncall"]},
            },
            timeout_ms=3_600_000,
            idempotent=True,
            on_timeout="reject",
            name="sign-off",
        ),
        Step(
            id="check",
            kind="poll",
            needs=(),
            with_={"method": "GET", "url": "https://lb/", "until": "response.status == 200", "interval_ms": 2_000},
            condition="params.service == 'api'",
            timeout_ms=300_000,
            idempotent=True,
            name="check",
        ),
    )


def test_the_short_form_is_one_call() -> None:
    """`webhook:` is a runbook of one idempotent http step that may take as long as the runbook."""
    loaded = runbook("webhook: {url: 'https://h/x', payload: {a: '{{ execution.id }}'}}\nretry: {max_attempts: 2}\n")
    assert (loaded.is_webhook, loaded.timeout_ms, loaded.risk) == (True, 300_000, "low")
    (step,) = loaded.steps
    assert (step.id, step.kind, step.name, step.idempotent, step.timeout_ms) == ("webhook", "http", "X", True, 300_000)
    assert step.with_ == {"method": "POST", "url": "https://h/x", "payload": {"a": "{{ execution.id }}"}}
    assert step.retry == Retry(max_attempts=2)
    assert runbook("webhook: {url: 'https://h/x'}\nidempotent: false\n").steps[0].idempotent is False


@pytest.mark.parametrize(
    ("with_", "says", "idempotent"),
    [
        *[
            (f"{{url: 'https://h', method: {method}}}", "", True)
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
        ],
        *[(f"{{url: 'https://h', method: {method}}}", "", False) for method in ("POST", "PATCH")],
        ("{url: 'https://h'}", "", True),
        ("{url: 'https://h', method: POST}", ", idempotent: true", True),
        ("{url: 'https://h', method: GET}", ", idempotent: false", False),
    ],
)
def test_what_may_be_done_twice(with_: str, says: str, idempotent: bool) -> None:
    """The method says whether a call may be repeated, unless the file does."""
    assert runbook(steps(f"{{id: a, type: http, with: {with_}{says}}}")).steps[0].idempotent is idempotent


OK = "{id: a, type: http, with: {url: 'https://h'}}"

MISTAKES = {
    "other tools' words": (
        steps("{id: a, kind: http, depends_on: [], when: x, args: {}, retries: 3, timeout-minutes: 5}"),
        [
            "5:13 step `a`: `kind` is not known here; did you mean `type`?",
            "5:25 step `a`: `depends_on` is not known here; did you mean `needs`?",
            "5:41 step `a`: `when` is not known here; did you mean `if`?",
            "5:50 step `a`: `args` is not known here; did you mean `with`?",
            "5:60 step `a`: `retries` is not known here; did you mean `retry`?",
            "5:72 step `a`: `timeout-minutes` is not known here; did you mean `timeout`?",
        ],
    ),
    "unknown kind": (
        steps("{id: a, type: htpp}"),
        [f"5:19 step `a`: `type` must be one of {', '.join(KINDS)}; did you mean `http`?"],
    ),
    "no steps": ("", ["1:1 the file needs `steps` or a `webhook`"]),
    "steps misspelt": ("stpes: []\n", ["4:1 `stpes` is not known here; did you mean `steps`?"]),
    "steps and webhook": (
        steps(OK) + "webhook: {url: 'https://h'}\n",
        ["1:1 the file needs either `steps` or `webhook`, and not both"],
    ),
    "typo at the top": (
        "descripton: x\n" + steps(OK),
        ["4:1 `descripton` is not known here; did you mean `description`?"],
    ),
    "inputs": ("inputs: {}\n" + steps(OK), ["4:1 `inputs` is not known here; did you mean `parameters`?"]),
    "parameters without properties": (
        "parameters: {type: object, service: {type: string}}\n" + steps(OK),
        ["4:28 `parameters.service` belongs under `properties`: `parameters` is a JSON Schema"],
    ),
    "default that does not fit": (
        "parameters: {type: object, properties: {n: {type: integer, default: many}}}\n" + steps(OK),
        ["4:69 `parameters.properties.n.default` must be a whole number, not text"],
    ),
    "timeout inside with": (
        steps("{id: a, type: http, with: {url: 'https://h', timeout: 3s}}"),
        ["5:50 step `a`: `with.timeout` belongs on the step, beside `with`"],
    ),
    "url beside with": (
        steps("{id: a, type: http, url: 'https://h', with: {url: 'https://h'}}"),
        ["5:25 step `a`: `url` belongs inside `with`"],
    ),
    "with left out": (steps("{id: a, type: http}"), ["5:5 step `a`: `with` is required"]),
    "bad duration": (
        steps("{id: a, type: http, timeout: 5 minutes, with: {url: 'https://h'}}"),
        ["5:34 step `a`: `timeout` is not a duration; write it like 30s, 15m, 1h30m or 500ms"],
    ),
    "too long": (
        "timeout: 8d\n" + steps("{id: a, type: http, timeout: 25h, with: {url: 'https://h'}}"),
        ["4:10 `timeout` must be between 1ms and 7d", "6:34 step `a`: `timeout` must be between 1ms and 1d"],
    ),
    "same id twice": (steps(OK, OK), ["6:10 step `a`: the id `a` is taken by step number 1"]),
    "unknown need": (
        steps("{id: drain, type: http, with: {url: 'https://h'}}", "{id: b, type: http, needs: [drian], with: {url: 'https://h'}}"),
        ["6:33 step `b`: there is no step `drian`; did you mean `drain`?"],
    ),
    "needs itself, and one twice": (
        steps(OK, "{id: b, type: http, needs: [a, b, a], with: {url: 'https://h'}}"),
        ["6:36 step `b`: step `b` cannot need itself", "6:39 step `b`: `a` is named twice in `needs`"],
    ),
    "ring": (
        steps(
            "{id: a, type: http, needs: [c], with: {url: 'https://h'}}",
            "{id: b, type: http, with: {url: 'https://h'}}",
            "{id: c, type: http, with: {url: 'https://h'}}",
        ),
        ["5:32 step `a`: steps wait for each other in a ring: `a` needs `c` needs `b` needs `a`"],
    ),
    "unknown parameter, name and filter": (
        "parameters: {type: object, properties: {service: {type: string}}}\n"
        + steps("{id: a, type: http, with: {url: 'https://h', json: ['{{ params.servce }}', '{{ parms.x }}', '{{ 1 | lowr }}']}}"),
        [
            "6:57 step `a`: `with.json[0]`: there is no parameter `servce`; did you mean `service`?",
            "6:80 step `a`: `with.json[1]`: unknown name `parms`; did you mean `params`?",
            "6:97 step `a`: `with.json[2]`: unknown filter `lowr`; did you mean `lower`?",
        ],
    ),
    "a step that has not ended": (
        steps(
            "{id: drain, type: http, with: {url: 'https://h/{{ steps.later.outputs.status }}'}}",
            "{id: side, type: http, needs: [], with: {url: 'https://h'}, if: 'steps.drain.outputs.status == 200'}",
            "{id: later, type: http, if: 'steps.later.outputs.x or steps.drian.outputs.x or steps.side.status', with: {url: 'https://h'}}",
        ),
        [
            "5:41 step `drain`: `with.url`: `steps.later` has not ended when this step starts; add it to `needs`",
            "6:69 step `side`: `if`: `steps.drain` has not ended when this step starts; add it to `needs`",
            "7:33 step `later`: `if`: `steps.later` is this step itself, which has not ended yet",
            "7:33 step `later`: `if`: `steps.side.status` is not there: this step starts only if `side` has not failed. It is "
            "for `on_failure`, `finally` and `undo`, and behind a step with `continue_on_error`",
            "7:33 step `later`: `if`: there is no step `drian`; did you mean `drain`?",
        ],
    ),
    "secrets where they would be seen": (
        steps(
            "{id: a, type: http, with: {url: 'https://h/{{ secrets.x }}', headers: {a: '{{ secrets }}', b: '{{ secrets.X }}'}}}",
            "{id: b, type: approval, if: 'secrets.x', with: {approvers: {users: [U123]}, message: '{{ secrets.x }}'}}",
        ),
        [
            "5:37 step `a`: `with.url`: secrets may stand in a call's headers, query, auth and body only",
            "5:79 step `a`: `with.headers.a`: name one secret, as in `secrets.lb_token`",
            "5:99 step `a`: `with.headers.b`: `X` is not the name of a secret: lower-case letters, digits and underscores",
            "6:33 step `b`: `if`: secrets may stand in a call's headers, query, auth and body only",
            "6:90 step `b`: `with.message`: secrets may stand in a call's headers, query, auth and body only",
        ],
    ),
    "braces in a bare expression": (
        steps("{id: a, type: http, if: '{{ execution.id }}', with: {url: 'https://h'}}"),
        ["5:29 step `a`: `if` is a bare expression: leave the {{ }} out"],
    ),
    "facts that are not there": (
        steps("{id: a, type: http, with: {url: 'https://h', json: ['{{ execution.user }}', '{{ response.json }}', '{{ item }}']}}"),
        [
            "5:57 step `a`: `with.json[0]`: there is no `execution.user`; did you mean `requester`?",
            "5:81 step `a`: `with.json[1]`: `response` is there in the `until`, `expect`, `retry.if` and `outputs` of a call only",
            "5:104 step `a`: `with.json[2]`: `item` is not there outside a loop",
        ],
    ),
    "hosts from values": (
        "parameters: {type: object, properties: {h: {type: string}, r: {enum: [eu, 'x/y']}}}\n"
        + steps(
            "{id: a, type: http, with: {url: 'https://{{ params.h }}/'}}",
            "{id: b, type: http, with: {url: 'https://{{ params.r }}.example.com/'}}",
            "{id: c, type: http, with: {url: '{{ params.h }}'}}",
        ),
        [
            "6:37 step `a`: `with.url`: inside the host name only a parameter with an `enum` may stand, as in https://{{ params.region }}.example",
            "7:37 step `b`: `with.url`: `x/y` cannot be part of a host name: lower-case letters, digits, dots and dashes only",
            "8:37 step `c`: `with.url`: a URL starts with http:// or https://, written out and not taken from a value",
        ],
    ),
    "headers": (
        steps("{id: a, type: http, with: {url: 'https://h', auth: {type: bearer, token: t}, headers: {host: h, Authorization: x, a: 1, A: 2, 'b c': 3}}}"),
        [
            "5:92 step `a`: `with.headers.host` is set by the bot itself; leave it out",
            "5:101 step `a`: `with.headers.Authorization` cannot stand beside `auth`, which sets it",
            "5:125 step `a`: `with.headers.A` is here twice",
            "5:131 step `a`: `with.headers.b c` is not the name of a header",
        ],
    ),
    "auth": (
        steps("{id: a, type: http, with: {url: 'https://h', auth: {type: basic, username: u, token: t}}}"),
        [
            "5:56 step `a`: `with.auth.password` is required",
            "5:90 step `a`: `with.auth.token` does not go with this `type`",
        ],
    ),
    "two bodies": (
        steps("{id: a, type: http, with: {url: 'https://h', json: 1, text: x}}"),
        ["5:59 step `a`: `with.text` cannot stand beside `json`: a call has one body"],
    ),
    "approvals that nobody can give": (
        steps(
            "{id: a, type: approval, with: {approvers: {}}}",
            "{id: b, type: approval, with: {min_approvals: 0, approvers: {users: [U123]}}}",
            "{id: c, type: approval, with: {min_approvals: 2, approvers: {users: [U123]}}}",
            "{id: d, type: approval, with: {approvers: {roles: [team_admin]}}}",
        ),
        [
            "5:47 step `a`: `with.approvers` must name at least one of roles, users, groups and minima",
            "6:51 step `b`: `with.min_approvals` must be at least 1",
            "7:51 step `c`: 2 must approve, and only 1 may: nobody could ever start what follows",
            "8:56 step `d`: `team_admin` has nobody in it here: the runbook belongs to no `team`",
        ],
    ),
    "approve on timeout at high risk": (
        "risk: high\n" + steps("{id: a, type: approval, on_timeout: approve, with: {approvers: {users: [U123]}}}"),
        ["6:41 step `a`: `on_timeout`: approve is not allowed where `risk` is high"],
    ),
    "keys of another kind": (
        steps(
            "{id: a, type: http, on_timeout: fail, with: {url: 'https://h'}}",
            "{id: b, type: poll, retry: {}, with: {url: 'https://h', until: 'true'}}",
            "{id: c, type: approval, idempotent: true, with: {approvers: {users: [U123]}}}",
        ),
        [
            "5:25 step `a`: `on_timeout` is for approval and manual steps only",
            "6:25 step `b`: `retry` is for http and grpc steps only; a poll asks again every `interval` until its `timeout`",
            "7:29 step `c`: `idempotent` is for http and grpc steps only",
        ],
    ),
    "conditions as data": (
        steps(
            "{id: a, type: http, with: {url: 'https://h'}, if: {field: execution.id, operator: equals, value: 1}}",
            "{id: b, type: http, with: {url: 'https://h'}, if: {field: execution.id}}",
            "{id: c, type: http, with: {url: 'https://h'}, if: {all: [{field: execution.id, operator: matches, value: '('}]}}",
            "{id: d, type: http, with: {url: 'https://h'}, if: {field: execution.id, operator: eq}}",
        ),
        [
            "5:87 step `a`: `if.operator` must be one of eq, ne, gt, gte, lt, lte, in, contains, exists, matches",
            "6:55 step `b`: `if` must be {field, operator, value} or one of all, any and not",
            "7:110 step `c`: `if.all[0].value`: the pattern is not one that RE2 takes (missing ): (); it has no look-around and no back-references",
            "8:55 step `d`: `if`: `eq` needs a `value`",
        ],
    ),
    "values of the wrong kind": (
        steps("{id: a, type: http, needs: b, with: {url: 5, method: get, headers: [x], query: {a: null}}}"),
        [
            "5:32 step `a`: `needs` must be a list, not text",
            "5:47 step `a`: `with.url` must be text, not a whole number",
            "5:58 step `a`: `with.method` must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean `GET`?",
            "5:72 step `a`: `with.headers` must be a mapping, not a list",
            "5:88 step `a`: `with.query.a` must be text or a number or true or false or a list, not null",
        ],
    ),
    "retry at the top": (
        "retry: {max_attempts: 2}\n" + steps(OK),
        ["4:1 `retry` belongs to a step here; at the top it is for `webhook` only"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_people_read_what_is_wrong(name: str) -> None:
    """Each mistake is told with its line, column and the nearest right word, and all of a file at once."""
    rest, expected = MISTAKES[name]
    assert problems(rest) == expected


def test_mistakes_in_the_head() -> None:
    """Name, id and format are checked like everything else."""
    assert problems(steps(OK), "apiVersion: v1\nid: Bad_Id\nname: ' '\nrisk: hgih\nteam: A\ntags: [X, x, x]\n") == [
        "1:13 `apiVersion` must be runbook/v1",
        "2:5 `id` must be lower-case letters, digits and dashes, starting with a letter, at most 63 characters",
        "3:7 `name` must be text on one line, at most 120 characters",
        "4:7 `risk` must be one of low, medium, high; did you mean `high`?",
        "5:7 `team` must be lower-case letters, digits and dashes, starting with a letter, at most 63 characters",
        "6:7 `tags` must not hold the same thing twice",
        "6:8 `tags[0]` must be lower-case letters, digits, dots and dashes, at most 40 characters",
    ]


def test_problems_of_reading_and_of_meaning_come_together() -> None:
    """An anchor and a misspelt key of one file are shown at once, and load raises with all of them."""
    source = (HEAD + "riks: &a low\n" + steps(OK)).encode()
    with pytest.raises(InvalidDefinition) as caught:
        load(source, "x.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "x.yaml:4:1: `riks` is not known here; did you mean `risk`?",
        "x.yaml:4:7: anchors (`&a`) are not allowed; write the value out where it is needed",
    ]


def test_at_most_200_steps_and_a_bounded_list_of_problems() -> None:
    """A file with too many steps or mistakes says so without listing thousands."""
    many = [f"{{id: s{i}, type: http, with: {{url: 'https://h'}}}}" for i in range(201)]
    assert problems(steps(*many)) == ["205:5 step `s200`: a runbook has at most 200 steps"]
    found = problems("".join(f"k{i}: 1\n" for i in range(300)) + steps(OK))
    assert len(found) == 51
    assert found[-1].endswith("… and more; these first")


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        *[
            ("30s", 30_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("2d", 172_800_000),
        ],
        *[("PT15M", 900_000), ("PT1H30M", 5_400_000), ("P1DT1S", 86_401_000), (90, 90_000)],
    ],
)
def test_durations(written: str | int, milliseconds: int) -> None:
    """Durations are read in every way that people write them."""
    assert parse_duration(written) == milliseconds


@pytest.mark.parametrize("written", ["", "s", "P", "PT", "1", "1 s", "s1", "1s1m", "-1s", "1.5h", "1w", "1m\n"])
def test_what_is_not_a_duration(written: str) -> None:
    """Everything else is refused."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(written)


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_durations_are_shown_as_they_are_read(milliseconds: int) -> None:
    """What show_duration writes, parse_duration reads."""
    assert parse_duration(show_duration(milliseconds)) == milliseconds


def shipped_runbook(path: Path) -> Runbook:
    """With the templates beside it."""
    return must_load(path.read_bytes(), path.name, Templates(path.parent)).runbook


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_runbooks_are_faultless(path: Path) -> None:
    """Every runbook that ships passes with no warning, in far less than 20 ms, and is named as its file."""
    assert check_file(path) == []
    start = time.thread_time()
    assert shipped_runbook(path).id == path.stem
    assert time.thread_time() - start < 0.1


def test_the_secrets_that_ship_are_those_that_are_read() -> None:
    """`_secrets.yaml` lists each secret of the runbooks beside it and no other, and forbids and warns of nothing."""
    rules, problems = secrets_file.read(ROOT / "runbooks.d" / "_secrets.yaml")
    assert problems == []
    targets = targets_file.read(ROOT / "runbooks.d" / "_targets.yaml", targets_file.ANY)[0] or {}
    shipped = [resolved(shipped_runbook(path), targets) for path in SHIPPED]
    found = [each for one in shipped for each in (*findings(one, rules), *cautions(one, rules))]
    assert [each.message for each in found] == []
    assert {name for one in shipped for each in reaches(one) for name in each.secrets} == set(rules.entries)


def test_enough_runbooks_ship() -> None:
    """The folder holds the demo's runbook, four for real services and one of the short form."""
    loaded = [shipped_runbook(path) for path in SHIPPED]
    assert len(loaded) >= 6
    assert any(each.is_webhook for each in loaded)


def test_the_demo_renders_its_calls() -> None:
    """The demo's steps, rendered, are the calls that its target knows."""
    loaded = load((ROOT / "runbooks.d" / "restart-checkout.yaml").read_bytes(), "f")
    context = {
        "params": {"service": "basket", "grace": 5},
        "secrets": {"lb_token": "t0ken"},
        "steps": {"drain": {"outputs": {"status": 200}}},
        "execution": {"id": "e1", "requester": "U1"},
    }
    assert render_with(loaded.by_id["drain"], context) == {
        "method": "POST",
        "url": "http://127.0.0.1:3901/lb/drain/basket",
        "auth": {"type": "bearer", "token": "t0ken"},
        "json": {"grace": 5},
    }
    assert render_with(loaded.by_id["healthy"], context) == {
        "method": "GET",
        "url": "http://127.0.0.1:3901/hosts/health/basket",
        "until": "response.status == 200 and response.json.ok",
        "interval_ms": 2_000,
    }
    assert render_with(loaded.by_id["sign-off"], context)["message"].startswith("Take basket out of")


def test_the_published_schema_is_a_schema_and_agrees_with_the_kinds() -> None:
    """Editors and the loader know the same kinds, and every key that a kind treats is in its schema."""
    schema = document()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["step"]["properties"]["type"]["enum"] == list(KINDS)
    for name, kind in KINDS.items():
        keys = set(schema["$defs"][name]["properties"]) | {"payload"}
        assert set(kind.treatments) | set(kind.defaults) | kind.secret_keys <= keys


@pytest.mark.parametrize(
    ("rest", "warnings"),
    [
        (
            steps("{id: a, type: approval, on_timeout: approve, with: {approvers: {users: [U123]}}}"),
            ["5:41 step `a`: `on_timeout: approve` lets the steps behind it run when nobody looked"],
        ),
        (
            steps("{id: a, type: http, with: {url: 'http://h/', method: POST}, retry: {max_attempts: 3}}"),
            ["5:37 step `a`: `url` is plain http", "5:72 step `a`: `retry` does little here"],
        ),
        (
            "parameters: {type: object, properties: {a: {type: string}}}\n"
            "webhook: {url: 'https://h', payload: '{\"a\": \"{{ params.a }}\"}'}\n",
            ["5:38 `params.a` may be missing", "5:38 `payload` is JSON written as text"],
        ),
        (
            steps("{id: a, type: message, with: {text: hi, channel: '{{ execution.reason }}'}}"),
            ["5:54 step `a`: `channel` is not written down as a channel's id"],
        ),
        (
            steps("{id: a, type: message, with: {text: hi, channel: D0123456789}}"),
            ["5:54 step `a`: `channel` is not written down as a channel's id"],
        ),
        (steps("{id: a, type: message, with: {text: hi, channel: C0123456789}}"), []),
        (steps("{id: a, type: message, with: {text: hi, channel: '{{ incident.channel }}', thread: false}}"), []),
        (steps("{id: a, type: http, with: {url: 'http://127.0.0.1:3901/'}}"), []),
        ("webhook: {url: 'https://h', payload: '{\"a\": {{ execution.id | tojson }}}'}\n", []),
    ],
)
def test_warnings(rest: str, warnings: list[str]) -> None:
    """What is allowed and deserves a second look is said, at its place."""
    examined = examine((HEAD + rest).encode(), "x.yaml")
    found = sorted(f"{w.line}:{w.column} {w.message}" for w in examined.warnings)
    assert len(found) == len(warnings)
    assert all(full.startswith(start) for full, start in zip(found, warnings, strict=True)), found
    assert examined.runbook is not None
    assert len(lint.warnings(examined.runbook)) == len(warnings)
    assert all(str(w).startswith("x.yaml:") and ": warning: " in str(w) for w in examined.warnings)


def test_checking_what_is_no_file(tmp_path: Path) -> None:
    """A missing file, a folder, a device, a pipe, a link and a file that is too large are each told in one sentence."""
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 300_000)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(large)
    paths = (tmp_path / "gone", tmp_path, Path("/dev/zero"), large, pipe, link)
    said = {path.name: check_file(path)[0].message for path in paths}
    assert said == {
        "gone": "the file cannot be read: No such file or directory",
        tmp_path.name: "this is not a file; name the files in it",
        "zero": "this is not a file",
        "pipe": "this is not a file",
        "link": "this is a symbolic link, and links are not followed; name the file itself",
        "large.yaml": "the file has more than 256 KiB",
    }


def test_the_graph() -> None:
    """Successors, roots, ancestors and order follow from needs."""
    loaded = runbook(
        steps(
            "{id: a, type: http, with: {url: 'https://h'}}",
            "{id: b, type: http, with: {url: 'https://h'}}",
            "{id: c, type: http, needs: [a], with: {url: 'https://h'}}",
            "{id: d, type: http, needs: [c, b], with: {url: 'https://h'}}",
            "{id: e, type: http, needs: [], with: {url: 'https://h'}}",
        )
    )
    assert graph.successors(loaded) == {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": (), "e": ()}
    assert graph.ancestors(loaded)["d"] == {"a", "b", "c"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_rings_are_found_and_only_rings(edges: list[tuple[int, int]]) -> None:
    """A ring is named exactly when there is one, and each of its steps needs the next."""
    needs: dict[str, set[str]] = {}
    for a, b in edges:
        needs.setdefault(str(a), set()).add(str(b))
    ring = graph.cycle(needs)
    downhill = {str(a): {str(b) for b in range(13) if (a, b) in edges and b < a} for a in range(13)}
    assert graph.cycle(downhill) is None
    if ring:
        assert ring[0] == ring[-1]
        assert all(before in needs[after] for before, after in pairwise(ring))
    else:
        assert all(step not in above for step, above in graph.ancestors_of(needs).items())


def test_the_digest_sees_meaning_and_not_layout() -> None:
    """Comments, quotes and the order of keys do not make another version; a changed value does."""
    plain = codec.digest(codec.canonical(runbook(FULL)))
    relaid = FULL.replace("risk: medium\n", "").replace("timeout: PT20M", 'timeout: "20m" # as before\nrisk: "medium"')
    assert codec.digest(codec.canonical(runbook(relaid))) == plain
    assert codec.digest(codec.canonical(runbook(FULL.replace("PT20M", "21m")))) != plain
    assert plain.startswith("sha256:")
    assert len(plain) == 71


def test_what_is_approved_keeps_its_digest() -> None:
    """A runbook that uses nothing but calls, polls and approvals has the digest that it was once approved under."""
    stored = codec.canonical(runbook(FULL))
    assert set(stored) == {
        *["apiVersion", "id", "name", "description", "team", "tags", "risk", "timeout_ms", "max_concurrent_steps"],
        *["is_webhook", "parameters", "steps"],
    }
    for step in stored["steps"]:
        assert set(step) == {
            *["id", "name", "kind", "needs", "with", "condition", "timeout_ms", "retry", "idempotent", "on_timeout"]
        }
    assert codec.digest(stored) == "sha256:1569bc49149fda452d47b3e5bfb04e2ec8b55c0405390fa6908bae183c3cd1eb"


IDS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)  # fmt: skip
STEPS = st.builds(
    Step,
    id=IDS,
    kind=st.sampled_from(sorted(KINDS)),
    needs=st.lists(IDS, max_size=3).map(tuple),
    with_=st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    condition=VALUES,
    timeout_ms=st.integers(1, 10**9),
    retry=st.none()
    | st.builds(Retry, st.integers(1, 20), st.integers(0, 10**6), st.floats(1, 10), st.integers(0, 10**6)),
    idempotent=st.booleans(),
    on_timeout=st.sampled_from(["fail", "reject", "approve"]),
    name=st.text(max_size=10),
    continue_on_error=st.booleans(),
    outputs=st.dictionaries(IDS, VALUES, max_size=2),
)
NESTED = st.recursive(
    STEPS,
    lambda inner: st.builds(
        replace,
        STEPS,
        blocks=st.dictionaries(
            st.sampled_from(["then", "else", "steps"]), st.lists(inner, max_size=2).map(tuple), max_size=2
        ),
        undo=st.none() | inner,
    ),
    max_leaves=4,
)
RUNBOOKS: st.SearchStrategy[Any] = st.builds(
    Runbook,
    id=IDS,
    name=st.text(),
    description=st.text(),
    team=st.none() | IDS,
    tags=st.lists(IDS, max_size=3).map(tuple),
    risk=st.sampled_from(["low", "medium", "high"]),
    timeout_ms=st.integers(1, 10**9),
    parameters=st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    steps=st.lists(NESTED, max_size=3).map(tuple),
    max_concurrent_steps=st.integers(1, 200),
    is_webhook=st.booleans(),
    on_failure=st.lists(NESTED, max_size=2).map(tuple),
    finally_=st.lists(NESTED, max_size=2).map(tuple),
    outputs=st.dictionaries(IDS, VALUES, max_size=2),
    concurrency=st.none()
    | st.builds(Concurrency, st.text(), st.integers(1, 1000), st.sampled_from(["queue", "reject"])),
)


@settings(max_examples=60, deadline=None)
@given(RUNBOOKS)
def test_every_runbook_survives_being_stored(runbook: Runbook) -> None:
    """Canonical JSON, written and read, gives the same runbook with the same digest."""
    data = codec.canonical(runbook)
    stored = json.loads(json.dumps(data))
    assert codec.from_canonical(stored) == runbook
    assert codec.digest(stored) == codec.digest(data)


def test_another_format_is_not_read() -> None:
    """A stored runbook of a format that we do not know is refused."""
    with pytest.raises(ValueError, match="not a stored runbook"):
        codec.from_canonical({**codec.canonical(runbook(FULL)), "apiVersion": "runbook/v9"})


LINES = FULL.splitlines()
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(LINES) - 1),
        st.sampled_from(["", "  ", "- ", "x: ", "[", "{", "}", "{{ ", " }}", "&a ", "*a", "!!x ", "null", "5", "'", "\t", "id"])
        | st.text(max_size=4),
        st.integers(0, 60),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(MUTATIONS)
def test_any_text_is_a_runbook_or_is_refused(mutations: list[tuple[int, str, int]]) -> None:
    """However a file is mangled, it loads or raises InvalidDefinition, soon, and never anything else."""
    lines = list(LINES)
    for index, text, column in mutations:
        lines[index] = lines[index][:column] + text + lines[index][column:]
    source = (HEAD + "\n".join(lines)).encode("utf-8", "surrogatepass")
    start = time.thread_time()
    try:
        loaded = load(source, "f.yaml")
    except InvalidDefinition:
        loaded = None
    assert loaded is None or codec.from_canonical(codec.canonical(loaded)) == loaded
    assert time.thread_time() - start < 0.5


DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["http", "a", "{{ params.x }}", "https://h", "5s", "eq"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "type", "with", "needs", "if", "url", "headers", "auth", "approvers", "roles", "until", "all",
                         "not", "field", "operator", "value", "timeout", "retry", "delay", "json", "query", "on_timeout",
                         "then", "else", "steps", "items", "while", "undo", "outputs", "minima", "role", "target", "for", "key"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["steps", "webhook", "parameters", "timeout", "risk", "retry", "tags", "on_failure", "finally",
                                     "outputs", "concurrency"]), DATA, max_size=4),
    st.lists(st.fixed_dictionaries({"id": DATA, "type": st.sampled_from([*KINDS, "x"]) | DATA, "with": DATA}, optional={"if": DATA, "needs": DATA, "undo": DATA, "outputs": DATA}), max_size=3),
)  # fmt: skip
def test_any_data_is_a_runbook_or_is_refused(rest: dict[str, Any], some_steps: list[Any]) -> None:
    """Whatever shape the values have, checking them finds problems or none and never breaks."""
    data = {"apiVersion": "runbook/v1", "id": "x", "name": "X", "steps": some_steps, **rest}
    examined = examine(json.dumps(data).encode(), "f.yaml")
    assert (examined.runbook is None) == bool(examined.problems)
