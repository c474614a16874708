"""Step templates: what they come to, what is wrong with them and where, and what they may not reach."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.definition.load import Examined, check_file, examine
from engine.definition.step_templates import Templates
from engine.expressions import evaluate, render
from engine.expressions.substitution import Substitution

DRAIN = """\
apiVersion: runbook/v1
kind: template
parameters:
  type: object
  required: [host]
  properties: {host: {type: string}, grace: {type: integer, default: 30, minimum: 0}, note: {type: string}}
steps:
  - {id: out, type: http, with: {url: "https://h/{{ params.host }}", headers: {G: "{{ params.grace }}"}}}
  - id: idle
    type: poll
    if: "steps.out.outputs.status == 200"
    with: {url: "https://h/x", until: "response.json.left < params.grace"}
outputs: {status: "{{ steps.out.outputs.status }}"}
"""
HEAD = "apiVersion: runbook/v1\nid: x\nname: X\n"
PARAMETERS = "parameters: {type: object, required: [host], properties: {host: {type: string}}}\n"


def template(steps: str, **more: str) -> str:
    rest = "".join(f"{key}: {value}\n" for key, value in more.items())
    return f"apiVersion: runbook/v1\nkind: template\n{rest}steps:\n{steps}"


def use(*steps: str) -> str:
    return HEAD + PARAMETERS + "steps:\n" + "".join(f"  - {step}\n" for step in steps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_templates").mkdir()
    write(tmp_path, drain=DRAIN)
    return tmp_path


def write(folder: Path, **templates: str) -> None:
    for name, text in templates.items():
        (folder / "_templates" / f"{name}.yaml").write_text(text)


def of(folder: Path, text: str) -> Examined:
    return examine(text.encode(), "x.yaml", templates=Templates(folder))


def problems(folder: Path, text: str) -> list[str]:
    return [str(each).replace(f"{folder}/", "") for each in of(folder, text).problems]


def test_two_uses_do_not_clash(folder: Path) -> None:
    found = of(
        folder,
        use(
            "{id: one, uses: drain, with: {host: '{{ params.host }}'}}",
            "{id: two, uses: drain, if: 'steps.one.outputs.status == 200', with: {host: db-1, grace: 5}}",
        ),
    )
    assert found.problems == ()
    assert found.runbook is not None
    assert list(found.runbook.by_id) == ["one", "one-out", "one-idle", "two", "two-out", "two-idle"]
    out, idle = found.runbook.by_id["two-out"], found.runbook.by_id["two-idle"]
    assert out.with_["url"] == "https://h/db-1"
    assert out.with_["headers"] == {"G": 5}
    assert idle.needs == ("two-out",)
    assert idle.condition == "steps['two-out'].outputs.status == 200"
    assert found.runbook.by_id["two"].needs == ("one",)
    assert found.templates == ("drain",)


def test_a_diff_shows_what_the_template_came_to(folder: Path) -> None:
    text = use("{id: one, uses: drain, with: {host: a}}")
    before = of(folder, text).text
    write(folder, drain=DRAIN.replace("https://h/x", "https://elsewhere/x"))
    after = of(folder, text).text
    assert before.startswith(text)
    assert set(after.splitlines()) - set(before.splitlines()) == {"#         url: https://elsewhere/x"}
    assert of(folder, before).text.startswith(before)


def test_templates_use_templates(folder: Path) -> None:
    inner = "  - {id: d, uses: drain, with: {host: '{{ params.machine }}'}}\n"
    write(folder, outer=template(inner, parameters="{type: object, properties: {machine: {type: string}}}"))
    found = of(folder, use("{id: one, uses: outer, with: {machine: 'm-{{ params.host }}'}}"))
    assert found.problems == ()
    assert found.runbook is not None
    assert found.runbook.by_id["one-d-out"].with_["url"] == 'https://h/{{ (("m-" ~ (params.host))) }}'
    assert found.templates == ("drain", "outer")


RING = {"a": "  - {id: s, uses: b}\n", "b": "  - {id: s, uses: a}\n"}


def test_rings_and_depths_are_told(folder: Path) -> None:
    write(folder, **{name: template(steps) for name, steps in RING.items()})
    (problem,) = problems(folder, use("{id: one, uses: a}"))
    assert "templates use each other in a ring: `a` uses `b` uses `a`" in problem
    chain = {f"t{n}": template(f"  - {{id: s, uses: t{n + 1}}}\n") for n in range(6)}
    write(folder, **chain, t6=template("  - {id: s, type: delay, with: {for: 1s}}\n"))
    (problem,) = problems(folder, use("{id: one, uses: t0}"))
    assert problem == "x.yaml:6:21: templates use each other at most 4 deep"
    templates = Templates(folder)
    assert examine(use("{id: one, uses: t3}").encode(), "x.yaml", templates=templates).problems == ()
    (again,) = examine(use("{id: one, uses: t0}").encode(), "x.yaml", templates=templates).problems
    assert str(again) == problem


def test_a_small_file_does_not_become_a_large_one(folder: Path) -> None:
    many = "".join(f"  - {{id: s{n}, uses: %s}}\n" for n in range(20))
    write(folder, a=template(many % (("b",) * 20)), b=template(many % (("c",) * 20)))
    write(folder, c=template("  - {id: s, type: delay, with: {for: 1s}}\n"))
    (problem,) = problems(folder, use("{id: one, uses: a}"))
    assert "a runbook has at most 200 steps" in problem
    big = template(
        "".join(
            f"  - {{id: s{n}, type: http, with: {{url: 'https://h', json: '{{{{ params.v }}}}'}}}}\n" for n in range(99)
        ),
        parameters="{type: object, properties: {v: {}}}",
    )
    write(folder, big=big)
    (problem,) = problems(folder, use(f"{{id: one, uses: big, with: {{v: {'x' * 20_000}}}}}"))
    assert "come to at most 1024 KiB" in problem


WRONG = {
    "an unknown template": ("{id: one, uses: drian}", "x.yaml:6:21: there is no template `drian` in _templates; did you mean `drain`?"),
    "a path": ("{id: one, uses: ../secret}", "x.yaml:6:21: `uses` names a template"),
    "a type beside it": ("{id: one, uses: drain, type: http}", "x.yaml:6:28: a step has a `type`, or `uses` a template"),
    "a parameter missing": ("{id: one, uses: drain}", "x.yaml:6:5: `with.host`: is required"),
    "a wrong value": ("{id: one, uses: drain, with: {host: a, grace: -1}}", "x.yaml:6:51: `with.grace`: must be at least 0"),
    "an unknown parameter": ("{id: one, uses: drain, with: {hots: '{{ params.host }}'}}", "`with.hots` is no parameter of the template; did you mean `host`?"),
    "an unreadable value": ("{id: one, uses: drain, with: {host: '{{ params. }}'}}", "x.yaml:6:41: `with.host`: "),
    "a block": ("{id: one, uses: drain, with: {host: 'a', note: '{% if true %}x{% endif %}'}}", None),
    "the template's own item": ("{id: one, type: loop, with: {items: [1], steps: [{id: two, uses: drain, with: {host: '{{ item }}'}}]}}", "`item` would be that of the template's steps"),
    "an unknown name": ("{id: one, uses: drain, with: {host: '{{ params.hots }}'}}", "_templates/drain.yaml:8:39: step `one-out`: `with.url`: there is no parameter `hots`; did you mean `host`? (used at x.yaml:6:21)"),
    "an id that is too long": ("{id: " + "a" * 60 + ", uses: drain, with: {host: a}}", "of more than 63 characters"),
    "a taken id": ("{id: one, uses: drain, with: {host: a}}\n  - {id: one-out, type: delay, with: {for: 1s}}", "the id `one-out` is taken"),
    "another key": ("{id: one, uses: drain, with: {host: a}, retry: {max_attempts: 2}}", "`retry`"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_where_it_stands(folder: Path, what: str) -> None:
    step, said = WRONG[what]
    found = problems(folder, use(step))
    assert (said is None and not found) or any(said in each for each in found if said), found


def test_a_broken_template_is_told_in_both_files(folder: Path) -> None:
    write(folder, bad=template("  - {id: s, type: http, with: {url: 'https://h', methd: GET}}\n"))
    (problem,) = problems(folder, use("{id: one, uses: bad}"))
    assert problem.startswith("x.yaml:6:21: the template `bad` is wrong, first at _templates/bad.yaml:4:50: ")
    assert "did you mean `method`?" in problem


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("  - {id: s, type: message, with: {text: '{{ steps.first.outputs }}'}}\n", "there is no step `first`"),
        ("  - {id: s, type: message, with: {text: '{{ params.host }}'}}\n", "there is no parameter `host`"),
        ("  - {id: s, type: message, with: {text: '{{ item }}'}}\n", "`item` is not there outside a loop"),
    ],
)
def test_a_template_reads_nothing_of_its_runbook(folder: Path, steps: str, said: str) -> None:
    write(folder, odd=template(steps))
    first = "{id: first, type: delay, with: {for: 1s}}"
    (problem,) = problems(folder, use(first, "{id: one, uses: odd}"))
    assert said in problem
    (alone,) = check(folder / "_templates" / "odd.yaml")
    assert said in alone


def check(path: Path) -> list[str]:
    return [str(each) for each in Templates(path.parent.parent).check_file(path.read_bytes(), path.stem, str(path))]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "_templates" / "link.yaml").symlink_to(folder / "_templates" / "drain.yaml")
    (problem,) = problems(folder, use("{id: one, uses: link, with: {host: a}}"))
    assert "a symbolic link, and links are not followed" in problem
    other = tmp_path / "other"
    other.mkdir()
    (other / "_templates").symlink_to(folder / "_templates")
    (problem,) = problems(other, use("{id: one, uses: drain, with: {host: a}}"))
    assert "_templates is a symbolic link" in problem


def test_a_runbook_in_no_folder_uses_none(folder: Path) -> None:
    found = examine(use("{id: one, uses: drain, with: {host: a}}").encode(), "definition")
    assert "is for runbooks in a folder" in found.problems[0].message


def test_check_finds_the_templates_beside_a_file(folder: Path) -> None:
    path = folder / "x.yaml"
    path.write_text(use("{id: one, uses: drain, with: {host: '{{ params.host }}'}}"))
    assert check_file(path) == []


VALUES = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.none(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}"), max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b"]), st.text("xy\"'\\ \n", max_size=4), max_size=2),
    st.sampled_from(
        ["{{ params.host }}", "x-{{ params.host }}", "{{ params.n + 1 }}", "{{ [params.n] }}", "{{params}}"]
    ),
)
READS = st.sampled_from(
    ["{{ params.v }}", "a {{ params.v }} b", "{{ params['v'] | tojson }}", "{{ [params.v, params.w] }}", "{{params}}",
     "{{ params.v if params.w is defined else 0 }}", "{{ params.u | default('no') }}", "{% for x in [params.v] %}{{ x }}{% endfor %}"]
)  # fmt: skip


@given(READS, VALUES, VALUES)
def test_a_template_means_what_its_parameters_say(text: str, one: Any, other: Any) -> None:
    """Put in its place, a text comes to what it comes to when its parameters are worked out first."""
    around: dict[str, Any] = {"params": {"host": 'h"1', "n": 3}}
    given_ = {"v": one, "w": other}
    worked_out = {"params": render(given_, around)}
    assert render(Substitution(given_, {}).value(text), around) == render(text, worked_out)


@given(VALUES)
def test_a_condition_means_what_its_parameters_say(value: Any) -> None:
    around: dict[str, Any] = {"params": {"host": "h", "n": 3}}
    source = "[params.v, params.v == 3, steps.a-b.outputs.x, 'params.v', {'params': 1}.params]"
    steps = {"steps": {"u-a-b": {"outputs": {"x": 1}}}}
    changed = Substitution({"v": value}, {"a-b": "u-a-b"}).condition(source)
    known = render(value, around)
    assert evaluate(changed, {**around, **steps}) == [known, known == 3, 1, "params.v", 1]
    assert json.dumps(changed)


ODD: list[Any] = [
    None,
    True,
    -1.5,
    "",
    "{{",
    "{{ params.v }}",
    "{% if x %}",
    "{{ steps.s }}",
    [],
    {},
    "f",
    ["a"],
    {"a": 1},
]
SOUND_TEMPLATE = {
    "apiVersion": "runbook/v1", "kind": "template", "outputs": {"o": "{{ steps.s.outputs.status }}"},
    "parameters": {"type": "object", "properties": {"v": {}}},
    "steps": [
        {"id": "s", "type": "http", "if": "params.v == 1", "with": {"url": "https://h/{{ params.v }}", "json": "{{ params }}"}},
        {"id": "l", "type": "loop", "needs": ["s"], "with": {"items": "{{ params.v }}", "as": "x", "steps": [
            {"id": "b", "type": "branch", "with": {"if": {"field": "params.v", "operator": "eq", "value": "{{ x }}"}, "then": [
                {"id": "m", "type": "message", "with": {"text": "{{ steps.s.outputs }}"}}]}}]}},
    ],
}  # fmt: skip
SOUND_USE = {
    "apiVersion": "runbook/v1", "id": "x", "name": "X",
    "steps": [
        {"id": "one", "uses": "f", "with": {"v": "{{ execution.id }}"}},
        {"id": "two", "type": "loop", "with": {"items": [1], "as": "y", "steps": [{"id": "in", "uses": "f", "with": {"v": "{{ y }}"}}]}},
    ],
    "finally": [{"id": "last", "uses": "f"}],
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    copied = json.loads(json.dumps(value))
    holder = copied
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = odd
    return copied


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_a_file_says_it_is_right_or_told_what_is_wrong(folder: Path, data: st.DataObject) -> None:
    """Nothing but problems comes of a template or a use that is written in any wrong way."""
    part, odd = data.draw(st.sampled_from(places(SOUND_TEMPLATE))), data.draw(st.sampled_from(ODD))
    write(folder, f=json.dumps(changed(SOUND_TEMPLATE, part, odd)))
    place = data.draw(st.sampled_from(places(SOUND_USE)))
    for text in (SOUND_USE, changed(SOUND_USE, place, data.draw(st.sampled_from(ODD)))):
        found = of(folder, json.dumps(text))
        assert (found.runbook is None) == bool(found.problems)


def test_the_sound_ones_are_sound(folder: Path) -> None:
    write(folder, f=json.dumps(SOUND_TEMPLATE))
    assert problems(folder, json.dumps(SOUND_USE)) == []
