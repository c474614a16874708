"""The rules of warnings: each has an id, a row in the docs whose example brings it, and cases in which it is silent."""

# ruff: noqa: E501 - the table reads better unwrapped

from __future__ import annotations

import ast
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT, read, rows, section, words

from bot.cli import host_commands
from engine.access import secret_use, unfillable_gates, unknown_team
from engine.access.access_file import Policy
from engine.definition.lint_rules import RULES
from engine.definition.load import examine
from engine.definition.step_templates import Templates
from engine.egress.hosts import parse_pattern
from engine.egress.secret_rules import Entry, SecretRules

HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"
SECRETS = SecretRules(
    {"bound": Entry(hosts=(parse_pattern("a.example"),)), "boundless": Entry(), "known": Entry(hosts=())}, known=True
)
PEOPLE = Policy(platform_admins=("U0ALICE01",), responders=(), teams={})
TABLE = rows(section(read("docs/lint.md"), "## The rules"))


def rules_of(text: str, *, beside: bool = False) -> list[str]:
    """The rules of the warnings of a file."""
    asked: list[Any] = []
    if beside:
        asked = [
            partial(secret_use.cautions, known=SECRETS),
            partial(unfillable_gates.cautions, policy=PEOPLE),
            partial(unknown_team.cautions, teams=PEOPLE.teams),
        ]
    found = examine(text.encode(), "x.yaml", warned=lambda book: [each for ask in asked for each in ask(book)])
    assert found.problems == (), found.problems
    return [each.rule for each in found.warnings]


def file(rest: dict[str, Any]) -> str:
    whole = rest if rest.keys() & {"steps", "webhook"} else {"steps": [rest]}
    return HEAD + "".join(f"{key}: {json.dumps(value)}\n" for key, value in whole.items())


@pytest.mark.parametrize(("rule", "example"), [(words(row[0])[0], words(row[1])[0]) for row in TABLE])
def test_every_example_of_the_docs_brings_its_warning_and_no_other(rule: str, example: str) -> None:
    if example.startswith("#"):
        assert rules_of(f"{HEAD}{example}\nsteps: [{{id: a, type: delay, with: {{for: 1s}}}}]\n") == [rule]
    else:
        assert rules_of(file(yaml.safe_load(example)), beside=RULES[rule].beside) == [rule]


def test_the_docs_have_every_rule_in_order() -> None:
    assert [words(row[0])[0] for row in TABLE] == list(RULES) == sorted(RULES)
    assert {words(row[0])[0] for row in TABLE if "¹" in row[0]} == {name for name, rule in RULES.items() if rule.beside}


def test_every_rule_is_known_and_every_warning_has_one() -> None:
    """No warning of a runbook is made without an id of the table, and the table holds none that nothing makes."""
    named: set[str] = set()
    for path in [*(ROOT / "engine/definition").rglob("*.py"), *(ROOT / "engine/access").glob("*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        named |= {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and each.value in RULES}
        for call in ast.walk(tree):
            for keyword in call.keywords if isinstance(call, ast.Call) else ():
                if keyword.arg == "rule" and isinstance(keyword.value, ast.Constant):
                    assert keyword.value.value in RULES, (path.name, call.lineno)
    table = ast.parse((ROOT / "engine/definition/lint_rules.py").read_text("utf-8"))
    assert named == {each.value for each in ast.walk(table) if isinstance(each, ast.Constant) and each.value in RULES}


GATE = {"id": "gate", "type": "approval", "with": {"approvers": {"roles": ["responder"]}}}
ACT = {"id": "act", "type": "http", "with": {"method": "DELETE", "url": "https://h.example/x"}}
LOOK = {"id": "look", "type": "http", "with": {"url": "https://h.example/x"}}
TELL = {"id": "tell", "type": "message", "with": {"text": "done"}}


def loop(condition: Any, *inner: dict[str, Any]) -> dict[str, Any]:
    return {"id": "each", "type": "loop", "with": {"while": condition, "steps": list(inner)}}


def branch(condition: Any, **blocks: Any) -> dict[str, Any]:
    return {"id": "way", "type": "branch", "with": {"if": condition, **blocks}}


def parameters(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def checked(gates: bool = False, **said: Any) -> dict[str, Any]:
    """A call with a check that goes before gates, or not."""
    return {**ACT, "dry_run": {"query": {"check": "1"}, **({"before_gates": True} if gates else {}), **said}}


SIZE = parameters(size={"enum": ["small", "large"]})
CASES: list[tuple[str, list[dict[str, Any]], dict[str, Any], list[str]]] = [
    ("a gate first", [GATE, ACT], {}, []),
    ("a check before the gate", [checked(), GATE, {**ACT, "id": "b"}], {}, []),
    ("a check behind a gate", [GATE, TELL, checked()], {}, ["unasked-dry-run"]),
    ("a check that goes before gates", [GATE, checked(gates=True)], {}, []),
    ("a check behind a gate that may be passed by", [{**GATE, "if": "params.size == 'small'"}, checked()], {"parameters": SIZE}, []),
    ("a check behind a gate in a branch", [branch("params.size == 'small'", then=[GATE]), checked()], {"parameters": SIZE}, []),
    ("a check behind a run", [{"id": "run", "type": "runbook", "with": {"id": "other"}}, checked()], {}, ["unasked-dry-run"]),
    ("a check in a branch behind a gate", [GATE, branch("execution.reason == 'x'", then=[checked()])], {}, ["unasked-dry-run"]),
    ("a check in a loop with a gate", [loop("index < 3", checked(), GATE)], {}, ["unasked-dry-run"]),
    ("a check beside a gate", [{**GATE, "needs": []}, {**checked(), "needs": []}], {}, ["gate-behind-effect"]),
    ("a check that reads a step", [LOOK, checked(query={"n": "{{ steps.look.outputs.status }}"})], {}, ["unasked-dry-run"]),
    ("a check of a call that reads a step", [LOOK, {**checked(), "with": {**ACT["with"], "headers": {"X-N": "{{ steps.look.outputs.status }}"}}}], {}, ["unasked-dry-run"]),
    ("a check that says what its call reads", [LOOK, {**checked(headers={"x-n": "1"}), "with": {**ACT["with"], "headers": {"X-N": "{{ steps.look.outputs.status }}"}}}], {}, []),
    ("a check that expects what a step came to", [LOOK, checked(expect="response.status == steps.look.outputs.status")], {}, ["unasked-dry-run"]),
    ("a check that expects", [checked(expect="response.status == 412 and 'DryRun' in response.text")], {}, []),
    ("a check that reads the moment", [checked(query={"at": "{{ now }}"})], {}, ["unasked-dry-run"]),
    ("a check that reads the run's id", [checked(query={"run": "{{ execution.id }}"})], {}, ["unasked-dry-run"]),
    ("a check that reads who asks", [checked(query={"by": "{{ execution.requester }}"})], {}, []),
    ("a parameter in a check alone", [checked(query={"size": "{{ params.size }}"})], {"parameters": SIZE}, []),
    ("a parameter that a check says away", [{**checked(headers={"x-n": "1"}), "with": {**ACT["with"], "headers": {"X-N": "{{ params.size }}"}}}], {"parameters": SIZE}, []),
    ("a gate between", [ACT, GATE, {**ACT, "id": "b"}], {}, []),
    ("a gate whose refusal undoes", [{**ACT, "undo": {"type": "http", "with": {"method": "PUT", "url": "https://h.example"}}}, GATE], {}, []),
    ("a gate whose refusal mends", [ACT, GATE], {"on_failure": [{**ACT, "id": "b"}]}, []),
    ("a gate before a message alone", [LOOK, GATE, TELL], {}, []),
    ("a late gate before a message", [ACT, GATE, TELL], {}, ["gate-behind-effect"]),
    ("a gate beside what changes", [{**ACT, "needs": []}, {**GATE, "needs": []}, {**ACT, "id": "b", "needs": ["gate"]}], {}, []),
    ("a gate in a loop, with the next round behind it", [loop("index < 3", ACT, GATE)], {}, []),
    ("a late gate in a branch", [ACT, branch("execution.reason == 'x'", then=[GATE])], {}, ["gate-behind-effect"]),
    ("high risk behind a gate", [GATE, ACT], {"risk": "high"}, []),
    ("high risk that only looks", [LOOK], {"risk": "high"}, []),
    ("high risk in a branch behind a gate", [GATE, branch("execution.reason == 'x'", then=[ACT])], {"risk": "high"}, []),
    ("high risk beside a gate", [{**GATE, "needs": []}, {**ACT, "needs": []}], {"risk": "high"}, ["gate-behind-effect", "ungated-risk"]),
    ("cleanup behind a gate", [GATE, ACT], {"finally": [{**ACT, "id": "b"}]}, ["cleanup-of-nothing"]),
    ("cleanup that asks", [GATE, ACT], {"finally": [{**ACT, "id": "b", "if": "steps.act.outputs.status | default(0) == 200"}]}, []),
    ("cleanup elsewhere", [GATE, ACT], {"on_failure": [{"id": "b", "type": "http", "with": {"method": "PUT", "url": "https://pager.example"}}]}, []),
    ("cleanup of what no gate guards", [ACT, GATE, {**ACT, "id": "c"}], {"finally": [{**ACT, "id": "b"}]}, []),
    ("cleanup that looks", [GATE, ACT], {"finally": [{**LOOK, "id": "b"}]}, []),
    ("a loop that counts", [loop("index < 3", TELL)], {}, []),
    ("a loop that asks a call", [loop("steps.look.outputs.json.more | default(true)", LOOK)], {}, []),
    ("a loop over what was before", [LOOK, loop("steps.look.outputs.json.more", TELL)], {}, ["endless-loop"]),
    ("a loop that asks a message", [loop("steps.tell.outputs.text | default('') != 'x'", TELL)], {}, ["endless-loop"]),
    ("a loop that asks what reads a call", [loop("steps.tell.outputs.text | default('') != 'x'", LOOK, {"id": "tell", "type": "message", "with": {"text": "{{ steps.look.outputs.text }}"}})], {}, []),
    ("a loop for ever", [loop(True, TELL)], {}, ["endless-loop"]),
    ("a loop without a round", [loop("1 > 2", TELL)], {}, ["unreachable-step"]),
    ("a loop over nothing", [{"id": "each", "type": "loop", "with": {"items": [], "steps": [TELL]}}], {}, ["unreachable-step"]),
    ("a branch one way", [branch(True, then=[TELL], **{"else": [LOOK]})], {}, ["unreachable-step"]),
    ("a branch the other way", [branch("false", then=[TELL], **{"else": [LOOK]})], {}, ["unreachable-step"]),
    ("a branch that is none", [branch({"field": "1", "operator": "eq", "value": 1}, then=[TELL])], {}, ["constant-condition"]),
    ("an if that always holds", [{**TELL, "if": True}], {}, ["constant-condition"]),
    ("an if that fails", [{**TELL, "if": "'a' < 1"}], {}, []),
    ("a parameter in the group", [TELL], {"parameters": SIZE, "concurrency": {"group": "g-{{ params.size }}"}}, []),
    ("a parameter in the outputs", [TELL], {"parameters": SIZE, "outputs": {"size": "{{ params.size }}"}}, []),
    ("all parameters at once", [{"id": "a", "type": "message", "with": {"text": "{{ params | tojson }}"}}], {"parameters": SIZE}, []),
    ("a parameter by its text", [{"id": "a", "type": "message", "with": {"text": "{{ params['size'] }}"}}], {"parameters": SIZE}, []),
    ("a parameter in an undo", [{**ACT, "undo": {"type": "http", "with": {"method": "PUT", "url": "https://h.example/{{ params.size }}"}}}], {"parameters": SIZE}, []),
    ("values that are there", [{**TELL, "if": "params.size == 'small' or params.size != 'large'"}], {"parameters": SIZE}, []),
    ("one of a list that is not there", [{**TELL, "if": {"field": "params.size", "operator": "in", "value": ["small", "tiny"]}}], {"parameters": SIZE}, ["impossible-comparison"]),
    ("not one that is not there", [{**TELL, "if": {"not": {"field": "params.size", "operator": "eq", "value": "tiny"}}}], {"parameters": SIZE}, ["impossible-comparison"]),
    ("a value by a template", [{**TELL, "if": {"field": "params.size", "operator": "eq", "value": "{{ execution.reason }}"}}], {"parameters": SIZE}, []),
    ("an output of a delay", [{"id": "d", "type": "delay", "with": {"for": "1s"}}, {**TELL, "if": "steps.d.outputs.waited == '1s'"}], {}, []),
    ("an output in the run's outputs", [LOOK], {"outputs": {"a": "{{ steps.look.outputs.bdy }}"}}, ["unknown-output"]),
    ("an output that a step maps", [{**LOOK, "outputs": {"a": "{{ outputs.stats }}"}}], {}, ["unknown-output"]),
    ("a mapped name", [{**LOOK, "outputs": {"a": "{{ outputs.status }}"}}, {**TELL, "if": "steps.look.outputs.a == 200"}], {}, []),
    ("a delay that fits", [{"id": "d", "type": "delay", "with": {"for": "2h"}}], {"timeout": "3h"}, []),
    ("a gate longer than the run", [{**GATE, "timeout": "2h"}, ACT], {}, []),
    ("a call longer than the run", [{**LOOK, "timeout": "2m"}], {"timeout": "1m"}, ["longer-than-run"]),
    ("the kind's own timeout", [LOOK], {"timeout": "10s"}, []),
    ("a secret in its place", [{**LOOK, "with": {**LOOK["with"], "headers": {"X-Api-Key": "{{ secrets.k }}", "Accept": "x"}}}], {}, []),
    ("a secret in a header", [{**LOOK, "with": {**LOOK["with"], "headers": {"X-API-Key": "abc"}}}], {}, ["written-secret"]),
    ("a secret by a parameter", [{**LOOK, "with": {**LOOK["with"], "auth": {"type": "bearer", "token": "{{ params.size }}"}}}], {"parameters": SIZE}, ["written-secret"]),
    ("a user's name is none", [{**LOOK, "with": {**LOOK["with"], "auth": {"type": "basic", "username": "bot", "password": "{{ secrets.p }}"}}}], {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "rest", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_warned_about_and_what_is_not(steps: list[Any], rest: dict[str, Any], wanted: list[str]) -> None:
    assert sorted(rules_of(file({"steps": steps, **rest}))) == wanted


@pytest.mark.parametrize(("more", "warned"), [({}, True), ({"if": "response.status == 420"}, False)])
def test_a_retry_that_says_of_which_answers_does_much(more: dict[str, str], warned: bool) -> None:
    step = {"id": "a", "type": "http", "with": {"method": "POST", "url": "https://h.example"}}
    said = rules_of(file({**step, "retry": {"max_attempts": 3, **more}}))
    assert ("retry-without-idempotency" in said) is warned


def test_a_written_secret_is_not_said_again() -> None:
    step = {**LOOK, "with": {**LOOK["with"], "auth": {"type": "bearer", "token": "hunter2-abc"}}}
    (warning,) = examine(file({"steps": [step]}).encode(), "x.yaml").warnings
    assert "hunter2" not in str(warning)


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks.d").glob("[!_]*.yaml")), ids=lambda path: path.stem)
def test_the_runbooks_that_ship_ignore_nothing_but_looks(path: Path) -> None:
    """A POST before the gate is ignored where it changes nothing: some systems are looked at by POST alone."""
    examined = examine(path.read_bytes(), path.name, templates=Templates(path.parent))
    assert examined.warnings == ()
    assert {each.rule for each in examined.ignored} <= {"ungated-risk"}


def test_the_hook_checks_runbooks_and_nothing_else() -> None:
    """What pre-commit reads: a verb that there is, for files that a sync would read."""
    (hook,) = yaml.safe_load(read(".pre-commit-hooks.yaml"))
    assert hook["entry"].split() == ["runbook", "check"]
    assert f"- id: {hook['id']}\n" in read("docs/lint.md")
    taken = [
        name
        for name in ("runbooks.d/a.yaml", "runbooks.d/_access.yaml", "runbooks.d/b.yml")
        if re.search(hook["files"], name)
    ]
    assert len(taken) == 3
    assert not any(
        re.search(hook["files"], name) for name in ("docs/a.yaml", "runbooks.d/x/a.yaml", "runbooks.d/a.json")
    )


def test_the_commands_of_the_examples_for_ci_are_understood() -> None:
    asked = re.findall(r"runbook check ((?:--\w+(?: (?:github|sarif))? )*runbooks\.d)", read("docs/lint.md"))
    assert len(asked) == 3
    for words_of_it in asked:
        chosen = host_commands._parser("check").parse_args(["check", *words_of_it.split()])
        assert chosen.files == [Path("runbooks.d")]
