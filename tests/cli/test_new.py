"""`runbook new`: what it writes is right at once, and nothing that is there is lost."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cli.entry import main
from engine.definition import regular_files, skeleton
from engine.definition.kinds import KINDS
from engine.definition.load import examine, load
from engine.definition.schema import document

KINDS_ASKED = st.lists(st.sampled_from(list(KINDS)), min_size=1, unique=True)
RISKS = st.sampled_from(["low", "medium", "high"])
TITLES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=120)


@settings(deadline=None, max_examples=30)
@given(KINDS_ASKED, RISKS, st.sampled_from(["", "payments"]))
def test_every_answer_makes_a_runbook_without_a_warning(kinds: list[str], risk: str, team: str) -> None:
    made = skeleton.text(skeleton.Answers("restart-api", "Restart", team, risk, tuple(kinds)))
    examined = examine(made.encode(), "x.yaml")
    assert examined.runbook is not None
    assert {*kinds, "approval"} >= {step.kind for step in examined.runbook.steps} >= set(kinds)
    assert (examined.runbook.risk, examined.runbook.team) == (risk, team or None)
    assert examined.warnings == ()


STUBS = {"call": {"json": {}}, "invoke": {"json": {}}, "healthy": {"status": 200}}
ANSWERS = {"sign-off": {"approve": "U0ALICE01"}, "by-hand": {"done": "U0BOB0001"}, "finished": {"event": {}}}
OTHER = "apiVersion: runbook/v1\nid: other-runbook\nname: Other\nsteps: [{id: a, type: delay, with: {for: 1s}}]\n"


@pytest.mark.parametrize("risk", ["low", "medium", "high"])
def test_what_is_written_is_checked_strictly_and_rehearsed_as_it_stands(risk: str, folder: Path) -> None:
    """Each kind by itself and all together, in a team and in none."""
    (folder / "other-runbook.yaml").write_text(OTHER)
    for number, kinds in enumerate([*([kind] for kind in KINDS), [*KINDS]]):
        name, team = f"new-{number}", ["--team", "payments"] * (number % 2)
        assert main(["new", "--id", name, "--risk", risk, "--steps", ",".join(kinds), *team, "--yes"]) == 0
        made = load((folder / f"{name}.yaml").read_bytes(), name)
        taken = {
            part: {step: said for step, said in known.items() if step in made.by_id}
            for part, known in (("stubs", STUBS), ("answers", ANSWERS))
        }
        case = {"name": "It goes well", **taken, "expect": {"outcome": "SUCCESS"}}
        (folder / f"{name}.rehearsal.yaml").write_text(json.dumps({"cases": [case]}))
    assert main(["check", "--strict", str(folder)]) == 0
    assert main(["rehearse", str(folder)]) == 0


def test_a_rehearsal_that_is_not_there_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a runbook's own nor one whose name may be mistyped."""
    (folder / "other-runbook.yaml").write_text(OTHER)
    assert main(["rehearse", str(folder / "other-runbook.yaml")]) == 2
    assert "there is no rehearsal in" in capsys.readouterr().err
    (folder / "other-runbook.rehearsal.yaml").write_text("cases: []")
    assert main(["rehearse", str(folder / "other-runbook.yaml"), str(folder / "typo.yaml")]) == 1
    assert "there is no such file: nor is there a typo.yaml" in capsys.readouterr().out


@settings(deadline=None, max_examples=30)
@given(TITLES)
def test_a_title_is_kept_as_it_was_typed_or_refused(title: str) -> None:
    """Whatever it looks like to YAML: a number, a date, a key, a comment."""
    answers = skeleton.Answers("a", title)
    if skeleton.fault("name", title):
        with pytest.raises(ValueError, match="one line"):
            skeleton.text(answers)
    else:
        assert load(skeleton.text(answers).encode(), "x.yaml").name == title


@pytest.mark.parametrize("title", ["1e5", "0o7", "no", "2026-01-01", "# x", "a: b", "'", "- x", "{{ x }}", "~"])
def test_a_title_that_looks_like_something_else_is_a_title(title: str) -> None:
    assert load(skeleton.text(skeleton.Answers("a", title)).encode(), "x.yaml").name == title


def test_there_is_a_starter_of_every_kind_and_its_snippet_is_a_step() -> None:
    assert list(skeleton.starters()) == list(KINDS)
    assert all(step["type"] == kind for kind, step in skeleton.starters().items())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of runbooks, and nobody who could be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNBOOKS_DIR", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (tmp_path / "runbooks.d").mkdir()
    return tmp_path / "runbooks.d"


class Terminal:
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_nobody_is_asked_where_everything_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--id", "restart-api", "--team", "payments", "--risk", "high", "--steps", "http,poll", "--yes"]
    assert main(["new", *words]) == 0
    assert capsys.readouterr().out.endswith("restart-api.yaml is written\n1 file is fine\n")
    made = load((folder / "restart-api.yaml").read_bytes(), "x")
    assert [step.kind for step in made.steps] == ["approval", "http", "poll"]
    assert (made.name, made.team, made.risk) == ("Restart api", "payments", "high")
    first = (folder / "restart-api.yaml").read_text().splitlines()[0]
    assert (folder / first.partition("$schema=")[2]).is_file()


def test_what_else_cannot_be_read_keeps_nobody_from_a_new_runbook(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that one may not read, a link, one that is not UTF-8, broken YAML, a folder, a pipe."""
    (folder / "fails.yaml").symlink_to("/proc/self/mem")
    (folder / "latin.yaml").write_bytes(b"id: \xff\n")
    (folder / "broken.yaml").write_text("id: [")
    (folder / "inside.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "nothing.yaml").symlink_to(folder / "gone")
    (folder / "theirs.yaml").write_text("id: mine")
    opened = os.open

    def refused(path: Path, *how: int) -> int:
        if str(path).endswith("theirs.yaml"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *how)

    monkeypatch.setattr(regular_files.os, "open", refused)
    assert main(["new", "--id", "mine", "--yes"]) == 0
    told = capsys.readouterr().err
    assert "theirs.yaml cannot be read (Permission denied): see to it that its id is not mine, too" in told
    assert "fails.yaml cannot be read (it is a symbolic link" in told
    assert "latin.yaml" not in told
    assert load((folder / "mine.yaml").read_bytes(), "x").id == "mine"


def test_the_id_of_a_file_that_is_partly_broken_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "latin.yaml").write_bytes(b"# \xff\nid: mine\nsteps: [")
    assert main(["new", "--id", "mine", "--yes"]) == 2
    assert "latin.yaml has the id mine already" in capsys.readouterr().err
    assert not (folder / "mine.yaml").exists()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            "new --id a --stps http --yes",
            "there is no option --stps; did you mean `--steps`?; “http” is one word too many",
        ),
        ("new --id a --risk hgih --yes", "“hgih” is none of low, medium, high; did you mean `high`?"),
        ("check x.yaml --strit", "there is no option --strit; did you mean `--strict`?"),
        ("check x.yaml --fromat=json", "there is no option --fromat; did you mean `--format`?"),
        ("token create U0ALICE01 x --scoeps read", "there is no option --scoeps; did you mean `--scopes`?"),
        ("token creat", "“creat” is none of create, list, revoke; did you mean `create`?"),
        ("completion fsh", "did you mean `fish`?"),
        ("up now", "“now” is one word too many"),
    ],
)
def test_what_is_mistyped_is_named_with_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: str, says: str
) -> None:
    """Nothing is done, and the exit code is that of wrong usage."""
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_questions_are_asked_again_until_the_answer_is_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    lines = iter(["Restart API", "restart-api", "", "Pay ments", "payments", "hihg", "", "htp", "http poll"])
    monkeypatch.setattr("builtins.input", lambda _question: next(lines))
    assert main(["new"]) == 0
    told = capsys.readouterr().out
    assert "must be lower-case letters" in told
    assert "did you mean `high`?" in told
    assert "did you mean `http`?" in told
    made = load((folder / "restart-api.yaml").read_bytes(), "x")
    assert (made.id, made.name, made.team, made.risk) == ("restart-api", "Restart api", "payments", "low")
    assert [step.kind for step in made.steps] == ["http", "poll"]


def test_only_what_was_not_said_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "")
    assert main(["new", "--id", "a", "--name", "A", "--steps", "delay"]) == 0
    assert [question.split("?")[0] for question in asked] == ["Which team does it belong to", "How much can go wrong"]


def test_who_leaves_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def left(_question: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", left)
    assert main(["new"]) == 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say at least --id"),
        (["--yes"], "say at least --id"),
        (["--id", "../evil"], "must be lower-case letters"),
        (["--id", "_access"], "must be lower-case letters"),
        (["--id", "a", "--name", "x\ny"], "one line"),
        (["--id", "a", "--name", "x\u202ey"], "U+202E"),
        (["--id", "a", "--team", "No Team"], "must be lower-case letters"),
        (["--id", "a", "--steps", "htp"], "did you mean `http`?"),
        (["--id", "a", "--steps", ","], "at least one kind"),
        (["--id", "other-runbook", "--steps", "runbook"], "cannot start itself"),
        (["--id", "a", "--folder", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    words: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", *words]) == 2
    assert told in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_nothing_is_overwritten_without_being_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "a.yaml"
    path.write_text("mine")
    assert main(["new", "--id", "a", "--yes"]) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["new", "--id", "a", "--yes", "--force"]) == 0
    assert load(path.read_bytes(), "x").id == "a"


def test_a_link_is_neither_followed_nor_taken_for_nothing(folder: Path, tmp_path: Path) -> None:
    """Also one that leads nowhere yet."""
    target = tmp_path / "elsewhere.yaml"
    (folder / "a.yaml").symlink_to(target)
    assert main(["new", "--id", "a", "--yes"]) == 2
    assert not target.exists()
    target.write_text("mine")
    assert main(["new", "--id", "a", "--yes", "--force"]) == 0
    assert target.read_text() == "mine"
    assert not (folder / "a.yaml").is_symlink()


@pytest.mark.parametrize("line", ["id: a", 'id: "a"   # the old one', "id: 'a'"])
def test_an_id_that_another_file_has_is_refused(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "old.yaml").write_text(f"apiVersion: runbook/v1\n{line}\n")
    assert main(["new", "--id", "a", "--yes", "--force"]) == 2
    assert "old.yaml has the id a already" in capsys.readouterr().err
    assert main(["new", "--id", "ab", "--yes"]) == 0


def test_a_folder_that_cannot_be_written_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("")
    assert main(["new", "--id", "a", "--yes", "--folder", str(folder / "file")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_the_folder_is_that_of_the_settings(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in `.env` counts, the environment more."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / ".env").write_text("RUNBOOKS_DIR=one\n")
    assert main(["new", "--id", "a", "--yes"]) == 0
    monkeypatch.setenv("RUNBOOKS_DIR", "two")
    assert main(["new", "--id", "b", "--yes"]) == 0
    assert [(tmp_path / name).is_file() for name in ("one/a.yaml", "two/b.yaml")] == [True, True]
    assert list(folder.iterdir()) == []


def test_a_schema_that_is_there_is_left_alone(folder: Path) -> None:
    (folder / skeleton.SCHEMA_FILE).write_text("{}")
    assert main(["new", "--id", "a", "--yes"]) == 0
    assert (folder / skeleton.SCHEMA_FILE).read_text() == "{}"


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == document()
