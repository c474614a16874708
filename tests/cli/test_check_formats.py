"""`runbook check --format`: what editors, GitHub and code scanning are given."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli import check_formats
from bot.cli.entry import main
from engine.definition.lint_rules import RULES
from engine.text.problem import Problem

BOOK = "apiVersion: runbook/v1\nid: a\nname: A\nsteps:\n  - {id: a, type: http, with: {url: 'http://h.example'}}\n"
BROKEN = BOOK.replace("type: http", "type: htp")

PLACES = st.integers(1, 9999)
PROBLEMS = st.builds(Problem, st.text(min_size=1), PLACES, PLACES, st.text(), st.sampled_from(["error", "warning"]))


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["check", *words])
    return code, capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a, b.yaml").write_text(BOOK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_text_names_the_rule(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = asked(capsys, "a, b.yaml")
    assert code == 0
    assert out == (
        "a, b.yaml:5:37: warning: step `a`: `url` is plain http: what is sent, secrets too, can be read on the way "
        "[plain-http]\n1 file is fine\n"
    )


@pytest.mark.parametrize("form", check_formats.FORMATS)
def test_the_exit_code_is_the_same_in_every_format(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "--format", form, "a, b.yaml")[0] == 0
    assert asked(capsys, "--format", form, "--strict", "a, b.yaml")[0] == 1
    (folder / "c.yaml").write_text(BROKEN)
    assert asked(capsys, "--format", form, str(folder))[0] == 1
    (folder / "c.yaml").unlink()
    (folder / "a, b.yaml").write_text(BOOK.replace("http:", "https:"))
    assert asked(capsys, "--format", form, "--strict", str(folder))[0] == 0


def test_json_is_complete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(BROKEN)
    told = json.loads(asked(capsys, "--format", "json", "a, b.yaml", "c.yaml")[1])
    assert told["files"] == 2
    assert [(each["file"], each["line"], each["severity"], each["rule"]) for each in told["problems"]] == [
        ("a, b.yaml", 5, "warning", "plain-http"), ("c.yaml", 5, "error", None),
    ]  # fmt: skip


def test_github_gets_a_line_for_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "--format", "github", "a, b.yaml")[1].startswith(
        "::warning file=a%2C b.yaml,line=5,col=37,title=plain-http::step `a`: "
    )


@settings(deadline=None)
@given(PROBLEMS)
def test_no_annotation_ends_early_or_begins_another(problem: Problem) -> None:
    """One line that reads back as what it was made of, whatever a file or a sentence is called."""
    text = check_formats.FORMATS["github"]([problem], 1)
    assert text.endswith("\n")
    line = text[:-1]
    assert "\n" not in line
    assert "\r" not in line
    found = re.fullmatch(r"::(error|warning) file=([^:,]*),line=(\d+),col=(\d+),title=([^:,]*)::(.*)", line, re.DOTALL)
    assert found is not None
    assert found[1] == problem.severity
    assert _decoded(found[2]) == problem.file
    assert (int(found[3]), int(found[4])) == (problem.line, problem.column)


def _decoded(text: str) -> str:
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def sarif(problems: list[Problem]) -> dict[str, Any]:
    """The log, after what the published schema of SARIF 2.1.0 demands of the parts that are used."""
    log: dict[str, Any] = json.loads(check_formats.FORMATS["sarif"](problems, 1))
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    for result in run["results"]:
        assert set(result) <= {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert result["level"] in ("error", "warning", "note", "none")
        assert isinstance(result["message"]["text"], str)
        if "ruleId" in result:
            assert ids[result["ruleIndex"]] == result["ruleId"]
        (place,) = result["locations"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", place["physicalLocation"]["artifactLocation"]["uri"])
        assert min(place["physicalLocation"]["region"].values()) >= 1
    return run


@settings(deadline=None)
@given(st.lists(PROBLEMS, max_size=3))
def test_sarif_is_sound_whatever_is_told(problems: list[Problem]) -> None:
    """Every problem is a result at its place, and every path a URI."""
    results = sarif(problems)["results"]
    assert [each["level"] for each in results] == [each.severity for each in problems]


def test_sarif_names_rules_and_paths_below_the_working_folder(folder: Path) -> None:
    problem = Problem(str(folder / "sub" / "a b.yaml"), 3, 4, "Words.", "warning", "plain-http")
    run = sarif([problem, Problem(str(folder.parent / "c.yaml"), 1, 1, "Broken.")])
    first, second = run["results"]
    assert first["ruleId"] == "plain-http"
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "sub/a%20b.yaml"
    assert second["ruleId"] == check_formats.INVALID
    assert unquote(second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) == str(
        folder.parent / "c.yaml"
    )
    assert {each["id"] for each in run["tool"]["driver"]["rules"]} == {check_formats.INVALID, *RULES}


def test_a_format_that_there_is_not_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "--format", "xml", "a, b.yaml"])
    assert ended.value.code == 2
    assert "sarif" in capsys.readouterr().err
