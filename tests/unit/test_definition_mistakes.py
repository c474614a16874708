"""What people read when containers, cleanup, undo and the other kinds of steps are written wrong."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import pytest

from engine.definition.load import examine

HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"
H = "type: http, with: {url: 'https://h'}"
IN = f"{{id: in, {H}}}"


def problems(rest: str) -> list[str]:
    return [f"{p.line}:{p.column} {p.message}" for p in examine((HEAD + rest).encode(), "x.yaml").problems]


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {line}\n" for line in lines)


GATE = "{id: g%d, type: approval, with: {approvers: {roles: [platform_admin]}, message: x}}"
MISTAKES = {
    "what would go on without a gate's decision": (
        steps(
            "{id: a, type: approval, with: {approvers: {roles: [platform_admin]}, message: x}, continue_on_error: true, skippable: true}",
            f"{{id: b, type: branch, with: {{if: 'true', then: [{{id: d, type: loop, with: {{items: [1], steps: [{GATE % 1}]}}}}]}}, continue_on_error: true}}",
            f"{{id: c, type: loop, with: {{items: [1], max_failures: 1, steps: [{{id: e, type: branch, with: {{if: 'true', then: [{{id: f, {H}}}], else: [{GATE % 2}]}}}}]}}, skippable: true}}",
        ),
        [
            "5:87 step `a`: `continue_on_error` is not for a gate: nothing goes on without its decision",
            "5:112 step `a`: `skippable` is not for a gate: only its approvers let a run pass it",
            "6:189 step `b`: `continue_on_error` is not for a branch that holds a gate: nothing goes on without its decision",
            "7:44 step `c`: `max_failures` is not for a loop that holds a gate: nothing goes on without its decision",
            "7:261 step `c`: `skippable` is not for a loop that holds a gate: only its approvers let a run pass it",
        ],
    ),
    "other tools' words": (
        steps(f"{{id: a, type: loop, with: {{for_each: [1], tasks: [{IN}], parallel: 2}}, ignore_errors: true, rollback: {{}}}}") + "on_error: []\nalways: []\n",
        [
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
    "what a loop goes over": (
        steps(*(f"{{id: l{n}, type: loop, with: {{items: {items}, steps: [{{id: i{n}, {H}}}]}}}}" for n, items in enumerate(("null", "", "5", "'{{ null }}'", "'{{ 5 }}'", "abc", "'a{{ params.x }}'", "'{{ [1] }}'", "'{{ params.x | default(null) }}'")))),
        [
            "5:40 step `l0`: `with.items` must be a list or text, not null",
            "6:40 step `l1`: `with.items` must be a list or text, not null",
            "7:40 step `l2`: `with.items` must be a list or text, not a whole number",
            "8:40 step `l3`: `with.items` must be a list, not null",
            "9:40 step `l4`: `with.items` must be a list, not a whole number",
            "10:40 step `l5`: `with.items` must be a list, not text",
            "11:40 step `l6`: `with.items` must be a list, not text",
            "11:40 step `l6`: `with.items`: there is no parameter `x`",
            "13:40 step `l8`: `with.items`: there is no parameter `x`",
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
            "6:39 step `b`: `outputs.r`: `response` is there in the `until`, `expect`, `retry.if` and `outputs` of a call only",
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
            "7:102 step `c`: `on_timeout` is for approval and manual steps only",
            "8:40 step `d`: `with.target` must be a host and a port, as in orders.internal:443",
        ],
    ),
    "a target from any value": (
        "parameters: {type: object, properties: {h: {type: string}}}\n" + steps("{id: a, type: grpc, with: {target: '{{ params.h }}:443', service: S, method: M}}"),
        ["6:40 step `a`: `with.target`: inside the host name only a parameter with an `enum` may stand, as in https://{{ params.region }}.example"],
    ),
    "whose events": (
        steps(
            "{id: a, type: wait, with: {key: k, from: ci}}",
            "{id: b, type: wait, with: {key: k, from: []}}",
            "{id: c, type: wait, with: {key: k, from: [c i]}}",
            "{id: d, type: wait, with: {key: k, shared: true}}",
            "{id: e, type: wait, with: {key: k, senders: [ci]}}",
        ),
        [
            "5:46 step `a`: `with.from` must be a list, not text",
            "6:46 step `b`: `with.from` must not be empty",
            "7:47 step `c`: `with.from[0]` must be a sender's name as in HOOK_SENDERS, such as ci",
            "8:31 step `d`: `with.from` is required when shared is given",
            "9:40 step `e`: `with.senders` is not known here; did you mean `from`?",
        ],
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
            "5:25 step `a`: `on_timeout` is for approval and manual steps only",
            "5:45 step `a`: `retry` is for http and grpc steps only",
            "5:68 step `a`: `with.key`: secrets may stand in a call's headers, query, auth and body only",
            "6:26 step `b`: `timeout` is not for a delay, which takes as long as its `for` says",
            "6:51 step `b`: `with.for` must be between 1ms and 7d",
            "7:38 step `c`: `with.for`: `soon` is not a duration; write it like 30s, 15m, 1h30m or 500ms",
            "8:28 step `d`: `timeout` is not for a message, which is handed over at once",
            "8:41 step `d`: `idempotent` is for http and grpc steps only",
            "8:66 step `d`: `with.message` is not known here; did you mean `text`?",
            "8:88 step `d`: `with.channel` must be a Slack channel's id, such as C0INCIDENT",
            "9:41 step `e`: `with.text`: secrets may stand in a call's headers, query, auth and body only",
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
            "4:22 `concurrency.group`: `execution.id` is not there before the run starts",
            "4:22 `concurrency.group`: `item` is not there outside a loop",
            "4:22 `concurrency.group`: `steps` is not there before the run starts",
            "4:22 `concurrency.group`: secrets may stand in a call's headers, query, auth and body only",
            "4:99 `concurrency.limit` must be at least 1",
            "4:115 `concurrency.on_conflict` must be one of queue, reject",
        ],
    ),
    "concurrency's words": (
        "concurrency: {key: a, limit: 1001}\n" + steps(f"{{id: a, {H}}}"),
        [
            "4:15 `concurrency.key` is not known here; did you mean `group`?",
            "4:30 `concurrency.limit` must be at most 1000",
        ],
    ),
    "auth": (
        steps(
            "{id: a, type: http, with: {url: 'https://h', redirects: 6, auth: {type: hmac, token: t, header: Host}}}",
            "{id: b, type: http, with: {url: 'https://h', headers: {authorization: x}, auth: {type: oauth2, token_url: 'https://{{ incident.channel }}/t', client_id: a, client_secret: b}}}",
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


@pytest.mark.parametrize(
    ("value", "what"),
    [
        *((f"params.x | {name}", "text") for name in ("tojson", "lower", "upper", "trim", "replace('a', 'b')")),
        ("params.l | join(',')", "text"),
        *((f"params.x | {name}", "a number") for name in ("length", "int")),
    ],
)
def test_a_condition_that_surely_is_neither_true_nor_false(value: str, what: str) -> None:
    """Known by what makes it, whatever the parameters will be."""
    head = "parameters: {type: object, properties: {x: {type: string}, l: {type: array}}}\n"
    (told,) = problems(head + steps(f'{{id: a, type: delay, with: {{for: 1s}}, if: "{value}"}}'))
    assert told.endswith(f"a condition must be true or false, and this is {what}: compare it with something")
