"""`runbook secret set`: the value comes from standard input or a hidden prompt, never from what is typed."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from bot.cli import main, people, secrets
from bot.cli.connect import Refused
from bot.cli.options import Options, Usage
from bot.grammar import UNREAD, GrammarError, parse, parse_words

TYPED = "x7-typed-behind-the-name"


class Api:
    """Notes what was asked of it."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, str, Any]] = []

    def get(self, _path: str, **_query: str) -> Any:
        return {"allowed": self.allowed, "why": "Only a platform admin may set secrets."}

    def put(self, path: str, body: Any) -> Any:
        self.asked.append(("PUT", path, body))
        return {"version": 3}

    def post(self, path: str, body: Any = None) -> Any:
        self.asked.append(("POST", path, body))
        return {"key": "k2", "rewrapped": 1, "problems": ["The stored secret a is encrypted with the key k0."]}


def piped(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def test_a_value_is_piped_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Several lines are one value, and nothing of it is printed."""
    api = Api()
    piped(monkeypatch, b"line-0ne\nline-tw0\n")
    assert people.answer(api, parse_words(["secret", "set", "pem"]), Options()) == 0  # type: ignore[arg-type]
    assert api.asked == [("PUT", "secrets/pem", {"value": "line-0ne\nline-tw0\n"})]
    shown = capsys.readouterr()
    assert "pem is set: version 3" in shown.out
    assert "line" not in shown.out + shown.err


def test_who_may_not_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is what is piped in read."""
    api = Api(allowed=False)
    piped(monkeypatch, b"a-value-for-nothing")
    with pytest.raises(Refused, match="Only a platform admin"):
        people.answer(api, parse_words(["secret", "set", "pem"]), Options())  # type: ignore[arg-type]
    assert api.asked == []
    assert sys.stdin.read() == "a-value-for-nothing"


def test_what_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent."""
    api = Api()
    piped(monkeypatch, b"\xff\xfe\x00\x01")
    with pytest.raises(Usage, match="no UTF-8 text"):
        people.answer(api, parse_words(["secret", "set", "pem"]), Options())  # type: ignore[arg-type]
    assert api.asked == []


def test_at_a_terminal_it_is_asked_for_without_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard library's prompt."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(secrets.getpass, "getpass", lambda prompt: f"{len(prompt)}-s3cret")
    assert secrets._value("lb_token").endswith("-s3cret")


@pytest.mark.parametrize(
    "words",
    [
        ["set", "lb_token", TYPED], ["set", f"lb_token={TYPED}"], ["set", "lb_token", f"--value={TYPED}"],
        ["set", "lb_token", "--value", TYPED], ["set", TYPED], ["set", "lb_token", "x=1", f"x={TYPED}"],
        ["sett", "lb_token", TYPED], [TYPED], ["list", "a", TYPED], ["delete", TYPED],
    ],
)  # fmt: skip
def test_a_typed_value_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """With the exit code for wrong usage, on the host and against a server."""
    monkeypatch.setenv("RUNBOOK_TOKEN", "rbk_nobody")
    monkeypatch.setenv("RUNBOOK_URL", "http://127.0.0.1:9")
    assert main(["secret", *words]) == 2
    shown = capsys.readouterr()
    assert TYPED not in shown.out + shown.err


def test_what_follows_a_name_is_never_read() -> None:
    """Not even by the grammar: quotes, braces and options in it mean nothing."""
    for text in (f"secret set a {TYPED}", f'secret set a "{TYPED}', f"secret set a k={TYPED} k={TYPED}"):
        assert parse(text).words == ("a", UNREAD)
    with pytest.raises(GrammarError) as error:
        parse(f"secret list a {TYPED}")
    assert TYPED not in str(error.value)


def test_a_rotation_that_left_something_behind_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code says so to scripts."""
    code = people.answer(Api(), parse_words(["secret", "rotate-keys"]), Options())  # type: ignore[arg-type]
    assert code == 1
    assert "key k0" in capsys.readouterr().out
