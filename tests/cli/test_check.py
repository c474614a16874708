"""`runbook check` of a folder: what a sync would read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli import host_commands
from bot.cli.entry import main
from engine.errors import BadSettings

GOOD = "apiVersion: runbook/v1\nid: ID\nname: Good\nsteps:\n  - {id: say, type: message, with: {text: Hello}}\n"


def test_every_file_of_a_folder_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other `_*.yaml` and what is no YAML are no runbooks; the access file is checked with them."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("ID", "a"))
    (tmp_path / "b.yml").write_text(GOOD.replace("ID", "b"))
    (tmp_path / "_draft.yaml").write_text("{{ nonsense")
    (tmp_path / "README.md").write_text("# nonsense")
    (tmp_path / "_access.yaml").write_text("platform_admins: [U0ALICE01]\n")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "3 files are fine\n"
    (tmp_path / "_access.yaml").write_text("platform_admin: [U0ALICE01]\n")
    (tmp_path / "c.yaml").write_text(GOOD.replace("ID", "a"))
    assert main(["check", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "_access.yaml" in told
    assert "the id a is used by a.yaml and c.yaml" in told


def test_an_empty_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "there is no runbook in this folder" in capsys.readouterr().out


CALLS = """\
apiVersion: runbook/v1
id: calls
name: Calls
team: payments
parameters: {type: object, required: [host], properties: {host: {type: string, enum: [a]}}}
steps:
  - id: call
    type: http
    with: {url: "https://HOST/x", auth: {type: bearer, token: "{{ secrets.lb_token }}"}}
"""


@pytest.mark.parametrize(
    ("host", "rules", "told", "wrong"),
    [
        ("lb.example.com", "hosts: [lb.example.com]", "", 0),
        ("LB.example.com.", "hosts: [lb.example.com]", "", 0),
        ("evil.example", "hosts: [lb.example.com]", "is lb.example.com: it may not go to evil.example:443", 1),
        ("lb.example.com", "teams: [core]", "is core, and this runbook is of team payments", 1),
        ("{{ params.host }}.example", "hosts: [lb.example.com]", "decided when it runs", 0),
        ("{{ params.host }}.example", "teams: [payments]", "", 0),
    ],
)
def test_where_secrets_may_go_is_asked_of_the_file_beside(
    host: str, rules: str, told: str, wrong: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hosts that are written out are compared, and the place in the file is told."""
    (tmp_path / "calls.yaml").write_text(CALLS.replace("HOST", host))
    (tmp_path / "_secrets.yaml").write_text(f"secrets: {{lb_token: {{{rules}}}}}\n")
    assert main(["check", str(tmp_path)]) == wrong
    out = capsys.readouterr().out
    assert told in out
    assert not told or "calls.yaml:9:" in out


def test_a_secret_that_the_file_lacks_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calls.yaml").write_text(CALLS.replace("HOST", "lb.example.com"))
    (tmp_path / "_secrets.yaml").write_text("secrets: {}\n")
    assert main(["check", str(tmp_path)]) == 0
    assert "no entry for the secret `lb_token`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "must be a mapping with `secrets`"),
        ("secrets: {LB: {}}", "`LB` is no secret's name"),
        ("secrets: {lb: {host: []}}", "unknown key `host`; did you mean `hosts`?"),
        ("secrets: {lb: {hosts: lb.example.com}}", "`hosts` must be a list"),
        ("secrets: {lb: {hosts: ['https://lb.example.com']}}", "write a host or host:port"),
        ("secrets: {lb: {hosts: ['*.*.example.com']}}", "write a host or host:port"),
        ("secrets: {lb: {teams: ['The Team']}}", "is no team's name"),
    ],
)
def test_a_file_of_secrets_is_checked(text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_secrets.yaml").write_text(text)
    assert main(["check", str(tmp_path / "_secrets.yaml")]) == 1
    assert told in capsys.readouterr().out


def test_targets_are_read_beside_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that the file lacks is told with the nearest; secrets of a target are asked of its host."""
    steps = "steps:\n  - {id: a, type: http, with: {target: alertmanger, path: /x}}\n"
    book = tmp_path / "hush.yaml"
    book.write_text(f"apiVersion: runbook/v1\nid: hush\nname: Hush\n{steps}")
    auth = "auth: {type: bearer, token: '{{ secrets.key }}'}"
    (tmp_path / "_targets.yaml").write_text(f"targets: {{alertmanager: {{url: 'https://a.example.com', {auth}}}}}")
    (tmp_path / "_secrets.yaml").write_text("secrets: {key: {hosts: [b.example.com]}}")
    assert main(["check", str(tmp_path)]) == 1
    assert "hush.yaml:5:" in (told := capsys.readouterr().out)
    assert "has no target `alertmanger`; did you mean `alertmanager`?" in told
    book.write_text(book.read_text().replace("alertmanger", "alertmanager"))
    assert main(["check", str(tmp_path)]) == 1
    assert "may not go to a.example.com:443" in capsys.readouterr().out


STRICT = """
apiVersion: runbook/v1
id: demo
name: Demo
steps:
  - id: rotate
    type: http
    with: {url: "https://vault.example/", method: PUT}
    outputs: {key: {value: "{{ response.json.key }}", secret: true}}
  - id: use
    type: http
    with:
      url: "https://deploy.example/"
      headers: {X-Key: "{{ steps.rotate.outputs.key }}", X-Own: "{{ secrets.own }}"}
"""


def test_what_strict_would_refuse_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By an option and by the environment; without either both secrets go on."""
    file = tmp_path / "demo.yaml"
    file.write_text(STRICT)
    monkeypatch.delenv("SECRETS_STRICT", raising=False)
    assert host_commands.main(["check", str(file)]) == 0
    for option, environ in ((["--secrets-strict"], ""), ([], "true"), (["--secrets-strict"], "no")):
        monkeypatch.setenv("SECRETS_STRICT", environ)
        capsys.readouterr()
        assert host_commands.main(["check", *option, str(file)]) == 1
        told = capsys.readouterr().out
        assert "no entry for the secret `own`" in told
        assert "`outputs.key` of step `rotate` has no `hosts`" in told
    monkeypatch.setenv("SECRETS_STRICT", "perhaps")
    with pytest.raises(BadSettings, match="SECRETS_STRICT"):
        host_commands.main(["check", str(file)])
