"""`runbook rehearse`: what is told of cases that pass and fail, in each format, and what is no rehearsal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bot.cli.entry import main

RUNBOOK = """\
apiVersion: runbook/v1
id: hello
name: Hello
steps:
  - {id: greet, type: http, with: {method: POST, url: "https://api.example.com/greet", json: {who: you}}}
  - {id: say, type: message, with: {text: Greeted}, if: "steps.greet.outputs.status == 200"}
"""
PASSING = """\
cases:
  - name: It greets
    stubs: {greet: {json: {ok: true}}}
    expect:
      outcome: SUCCESS
      path: [greet, say]
      calls: [{method: POST, url: "https://api.example.com/greet", json: {who: you}}]
      messages: [Greeted]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.yaml").write_text(RUNBOOK)
    (tmp_path / "hello.rehearsal.yaml").write_text(PASSING)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["rehearse", *words]) == code
    said = capsys.readouterr()
    return said.out + said.err


@pytest.mark.parametrize("named", [".", "hello.yaml", "hello.rehearsal.yaml"])
def test_what_passes_is_told(folder: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, named)
    assert "✓ It greets" in out
    assert out.splitlines()[-1].startswith("1 passed in ")


def test_coverage_names_what_no_case_has_gone_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, ".", "--coverage")
    assert "3 of 4 steps and ways covered (75 %)" in out
    assert "`if` of `say` is never false" in out


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("outcome: SUCCESS", "outcome: FAILED", "outcome: expected FAILED, and it was SUCCESS"),
        ("[greet, say]", "[greet, {say: SKIPPED}]", "path: at place 2 expected {say: SKIPPED}, and it was say"),
        ("who: you", "who: me", 'call 1: json.who: expected "me", and it was "you"'),
        ("[Greeted]", "[]", 'message 1: expected nothing, and it was "Greeted"'),
        ("greet: {json: {ok: true}}", "say: {status: 200}", "there is no stub for POST https://api.example.com/greet"),
        ("greet: {json: {ok: true}}", "greet: {status: 404}", "The server answered 404 Not Found."),
    ],
)
def test_what_is_not_as_expected_is_told(
    folder: Path, was: str, now: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hello.rehearsal.yaml").write_text(PASSING.replace(was, now))
    out = told(capsys, ".", code=1)
    assert "✕ It greets" in out
    assert said in out
    assert "0 passed, 1 failed" in out


def test_junit_is_xml_whatever_a_case_is_called(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "hello.rehearsal.yaml").write_text(PASSING.replace("It greets", "'<&> ]]> greets'").replace("you", "u"))
    (folder / "broken.yaml").write_text("nonsense")
    (folder / "broken.rehearsal.yaml").write_text(PASSING)
    root = ElementTree.fromstring(told(capsys, ".", "--format", "junit", code=1))
    by_name = {suite.get("name"): suite for suite in root}
    assert {key: by_name["hello.rehearsal.yaml"].get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "1", "failures": "1", "errors": "0",
    }  # fmt: skip
    case = by_name["hello.rehearsal.yaml"].find("testcase")
    assert case is not None
    assert (case.get("name"), case.get("line")) == ("<&> ]]> greets", "2")
    assert by_name["broken.rehearsal.yaml"].find("testcase/error") is not None


def test_json_is_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(told(capsys, ".", "--format", "json"))
    assert found["passed"]
    assert found["cases"][0]["path"] == [["greet", "SUCCESS"], ["say", "SUCCESS"]]


def test_a_folder_without_rehearsals_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a rehearsal stands beside its runbook" in told(capsys, str(tmp_path), code=2)


def test_a_rehearsal_is_checked_and_is_no_runbook(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "."]) == 0
    assert capsys.readouterr().out == "2 files are fine\n"
    (folder / "hello.rehearsal.yaml").write_text(PASSING.replace("greet: {json", "gret: {json"))
    assert main(["check", "."]) == 1
    out = capsys.readouterr().out
    assert "hello.rehearsal.yaml:3:13: case “It greets”: `hello` has no step `gret`; did you mean `greet`?" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: &a [*a]\n", "aliases"),
        ("case: []\n", "`case` is not known here; did you mean `cases`?"),
        ("cases: []\n", "must not be empty"),
        ("cases: [" + "{name: a, expect: {outcome: SUCCESS}}, " * 201 + "]\n", "at most 200 items"),
        ("x" * 300_000, "more than 256 KiB"),
        ("cases: [{name: a, expect: {outcome: FINE}}]\n", "must be one of SUCCESS, FAILED, CANCELLED"),
        ("cases: [{name: a, expect: {outcome: SUCCESS, path: [{greet: GOOD}]}}]\n", "must be a step"),
        ("cases: [{name: a, stubs: {greet: {json: 1, text: a}}, expect: {outcome: SUCCESS}}]\n", "must be an answer"),
        ("cases: [{name: a, at: tomorrow, expect: {outcome: SUCCESS}}]\n", "must be a time with its zone"),
        ("cases: [" + "{name: a, expect: {outcome: SUCCESS}}, " * 2 + "]\n", "another case has this name"),
        ("cases: [{name: a, expect: {outcome: SUCCESS, path: [gret]}}]\n", "did you mean `greet`?"),
    ],
)
def test_nonsense_is_refused_with_its_place(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hello.rehearsal.yaml").write_text(text)
    for verb in ("check", "rehearse"):
        assert main([verb, "."]) == 1
        out = capsys.readouterr().out
        assert said in out
        assert "hello.rehearsal.yaml:1:" in out


def test_a_link_is_not_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "hello.rehearsal.yaml").rename(folder / "elsewhere")
    os.symlink(folder / "elsewhere", folder / "hello.rehearsal.yaml")
    assert "it is a symbolic link, and links are not followed" in told(capsys, ".", code=1)


def test_the_runbooks_that_ship_pass_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a rehearsal, and hardly anything in them is never gone through."""
    shipped = Path(__file__).parents[2] / "runbooks.d"
    results = json.loads(told(capsys, str(shipped), "--format", "json"))
    runbooks = [path for path in shipped.glob("[!_]*.yaml") if ".rehearsal." not in path.name]
    assert len(results) == len(runbooks)
    assert sum(len(each["missed"]) for each in results) <= 2


def test_a_runbook_without_a_rehearsal_is_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone it is nothing to play; beside others it fails, since it was asked for."""
    (folder / "bare.yaml").write_text(RUNBOOK)
    assert main(["rehearse", "bare.yaml"]) == 2
    assert "there is no rehearsal in bare.yaml" in capsys.readouterr().err
    assert main(["rehearse", "bare.yaml", "hello.yaml"]) == 1
    assert "bare.rehearsal.yaml:1:1: there is no such file: bare.yaml has no rehearsal" in capsys.readouterr().out
