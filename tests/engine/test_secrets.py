"""Where secrets come from, and that nothing shows them."""

from __future__ import annotations

import base64
import errno
import html
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config.secrets import MAX_BYTES, SecretMissing, SecretStore
from engine.text import logs
from engine.text.redaction import Redactor

CANARY = "cAn4ry secret/value+1"


def store(folder: Path | None = None, **environ: str) -> tuple[SecretStore, Redactor]:
    redactor = Redactor()
    return SecretStore(environ, folder, redactor), redactor


def test_from_the_environment() -> None:
    """`secrets.lb_token` is RUNBOOK_SECRET_LB_TOKEN, and is masked from then on."""
    secrets, redactor = store(RUNBOOK_SECRET_LB_TOKEN=CANARY)
    assert redactor.redact(CANARY) == CANARY
    assert secrets.resolve("lb_token") == CANARY
    assert redactor.redact(f"a {CANARY} b") == "a ‹secret lb_token› b"


def test_from_a_file_read_anew_each_time(tmp_path: Path) -> None:
    """One trailing line break is dropped, a rotated file counts at once, and the old value stays masked."""
    secrets, redactor = store(tmp_path)
    (tmp_path / "lb_token").write_bytes(b"first value\r\n")
    assert secrets.resolve("lb_token") == "first value"
    (tmp_path / "lb_token").write_bytes(b"second value\n\n")
    assert secrets.resolve("lb_token") == "second value\n"
    assert redactor.redact("first value, second value") == "‹secret lb_token›, ‹secret lb_token›"


def test_the_environment_wins(tmp_path: Path) -> None:
    """With both set, the variable counts; an empty variable is not set."""
    (tmp_path / "key").write_text("from file")
    assert store(tmp_path, RUNBOOK_SECRET_KEY="from env")[0].resolve("key") == "from env"
    assert store(tmp_path, RUNBOOK_SECRET_KEY="")[0].resolve("key") == "from file"


@pytest.mark.parametrize("name", ["../passwd", "a/b", "/etc/passwd", "", ".", "A", "a-b", "a" * 64, "a\n", "ä", "1a"])
def test_names_are_no_paths(tmp_path: Path, name: str) -> None:
    """A name that is not a plain word is refused before any file is opened."""
    (tmp_path.parent / "passwd").write_text("outside")
    with pytest.raises(SecretMissing, match="not a secret's name"):
        store(tmp_path)[0].resolve(name)


def test_a_missing_secret_says_what_to_set(tmp_path: Path) -> None:
    """The message names the variable, and the file when there is a folder."""
    with pytest.raises(SecretMissing, match=r"no secret db_pass: set RUNBOOK_SECRET_DB_PASS\."):
        store()[0].resolve("db_pass")
    with pytest.raises(SecretMissing, match="or put it into the file db_pass in SECRETS_DIR"):
        store(tmp_path)[0].resolve("db_pass")


def test_unusable_secrets_are_refused_without_being_shown(tmp_path: Path) -> None:
    """Too short, too large, not text and unreadable: each in its own words, never with the value."""
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    secrets, _ = store(tmp_path, RUNBOOK_SECRET_SHORT="abc")
    for name, word in [("short", "shorter"), ("large", "64 KiB"), ("binary", "UTF-8"), ("folder", "read")]:
        with pytest.raises(SecretMissing, match=word) as error:
            secrets.resolve(name)
        assert "abc" not in str(error.value)


def test_everything_known_is_masked_from_the_start(tmp_path: Path) -> None:
    """Secrets that no runbook has used yet are masked too, and unusable ones reported."""
    (tmp_path / "filed").write_text("value in file\n")
    (tmp_path / "..data").mkdir()
    (tmp_path / "tiny").write_text("x")
    secrets, redactor = store(tmp_path, RUNBOOK_SECRET_UNUSED=CANARY, RUNBOOK_SECRET_EMPTY="", OTHER="not a secret")
    assert [problem for problem in secrets.register_all() if "tiny" not in problem] == []
    assert redactor.redact(f"{CANARY}|value in file|not a secret") == "‹secret unused›|‹secret filed›|not a secret"


SECRET = st.text(st.characters(exclude_categories=("Cs",)), min_size=4, max_size=40)
ANYTHING = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def forms_of(secret: str, before: bytes) -> Iterator[str]:
    raw = secret.encode()
    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), urlencode({"a": secret}))
    yield from (quote(secret, safe="").lower() if secret.islower() else secret, "".join(f"%{b:02x}" for b in raw))
    yield from (json.dumps(secret), json.dumps(secret, ensure_ascii=False), json.dumps([secret]).replace("/", "\\/"))
    yield from (raw.hex(), raw.hex().upper(), html.escape(secret), html.escape(secret, quote=False))
    yield from (base64.b64encode(before + raw).decode(), base64.urlsafe_b64encode(before + raw + b"tail").decode())


@given(secret=SECRET, before=st.binary(max_size=4), left=ANYTHING, right=ANYTHING)
@example(secret="secret", before=b"", left="", right="")
@example(secret="‹secret k›", before=b"", left="", right="")
@example(secret="    ", before=b"", left=" ", right=" ")
@example(secret="aaaa", before=b"a", left="a", right="aa")
def test_no_form_of_a_secret_survives(secret: str, before: bytes, left: str, right: str) -> None:
    """A secret embedded in any text in any form is masked, wherever it stands."""
    redactor = Redactor()
    redactor.add("\0", secret)  # a mark without letters, so that the mark itself cannot spell the secret
    mark = "‹secret \0›"
    for form in forms_of(secret, before):
        masked = redactor.redact(left + form + right)
        assert mark in masked
        assert secret not in masked.replace(mark, "\ue000") or secret in mark


@given(secrets=st.lists(SECRET, min_size=1, max_size=6, unique=True), text=ANYTHING)
def test_text_without_secrets_is_left_alone(secrets: list[str], text: str) -> None:
    """A text changes only where something was masked, and every secret in it was."""
    redactor = Redactor()
    redactor.add_all({f"s{number}": value for number, value in enumerate(secrets)})
    assert ("‹secret s" in redactor.redact(text)) == (redactor.redact(text) != text)
    if any(secret in text for secret in secrets):
        assert redactor.redact(text) != text


def test_the_longest_wins() -> None:
    """A secret that contains another is masked as itself."""
    redactor = Redactor()
    redactor.add_all({"short": "abcd", "long": "xxabcdxx"})
    assert redactor.redact("1 xxabcdxx 2 abcd") == "1 ‹secret long› 2 ‹secret short›"


@pytest.mark.parametrize("size", [513, 3000, MAX_BYTES])
def test_long_secrets_are_masked_whole_and_in_parts(size: int) -> None:
    """A key file is masked whole, encoded, and line by line."""
    body = base64.b64encode(bytes(index * 7 % 251 for index in range(size))).decode()[:size]
    key = "\n".join(body[start : start + 64] for start in range(0, size, 64))
    redactor = Redactor()
    redactor.add("key", key)
    whole = [
        key,
        json.dumps(key),
        quote(key),
        quote_plus(key),
        key.encode().hex(),
        base64.b64encode(b"u:" + key.encode()).decode(),
    ]
    for form in whole:
        masked = redactor.redact(f"begin {form} end")
        assert len(masked) < 60
        assert "‹secret key›" in masked
    assert redactor.redact(key.splitlines()[5]) == "‹secret key›"


def test_json_is_masked_in_keys_and_numbers_too() -> None:
    """Every text, key and number of a JSON value is masked; the rest keeps its type."""
    redactor = Redactor()
    redactor.add_all({"pin": "493817", "word": "sesame"})
    value = {"sesame": [493817, 1, True, None, 2.5], "a": {"b": "open sesame", "c": 1493817.5}}
    assert redactor.redact_json(value) == {
        "‹secret word›": ["‹secret pin›", 1, True, None, 2.5],
        "a": {"b": "open ‹secret word›", "c": "1‹secret pin›.5"},
    }


def test_short_values_cannot_be_masked() -> None:
    """A value below four characters is refused rather than masked everywhere."""
    with pytest.raises(ValueError, match="shorter than 4"):
        Redactor().add("pin", "123")


def test_lone_surrogates_do_not_break_masking() -> None:
    """Text that came from undecodable bytes is masked as well."""
    redactor = Redactor()
    redactor.add("word", "sesame")
    assert redactor.redact("\udcff sesame \ud800") == "\udcff ‹secret word› \ud800"


def test_masking_is_safe_while_secrets_are_added() -> None:
    """Threads may add and mask at once."""
    redactor = Redactor()
    redactor.add("first", CANARY)
    failures: list[str] = []

    def mask() -> None:
        for _ in range(200):
            if CANARY in redactor.redact(CANARY):
                failures.append("shown")

    threads = [threading.Thread(target=mask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        redactor.add(f"s{number}", f"value-{number:04d}")
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.fixture
def logging_state() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in logs.FLOORS}
    yield
    root.handlers[:], sys.excepthook, threading.excepthook = kept[0], kept[2], kept[3]
    root.setLevel(kept[1])
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("logging_state")
def test_no_log_record_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Message, arguments, exception, cause, stack and a record that cannot be formatted are all masked."""
    redactor = Redactor()
    redactor.add("lb_token", CANARY)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "__stderr__", stream)
    stubborn = logging.getLogger("stubborn")
    stubborn.addHandler(logging.StreamHandler(stream))
    stubborn.propagate = False
    logs.install_logging("DEBUG", redactor)
    log = logging.getLogger("test")
    log.info("in the message %s", CANARY)
    log.info("in a mapping %r", {"a": [CANARY]})
    log.info("wrong arguments %d %s", CANARY)
    log.warning(CANARY, stack_info=True)
    stubborn.error("own handler %s", CANARY)
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError as error:
        log.exception("failed")
        logs._log_uncaught(KeyError, error, error.__traceback__)
    shown = stream.getvalue()
    assert CANARY not in shown
    assert shown.count("‹secret lb_token›") >= 8
    assert "was lost" in shown


class _Full(io.StringIO):
    """A log whose disk is full."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("logging_state")
def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is lost, and the thread that logged it goes on: it may be a worker's heartbeat."""
    for name in ("stderr", "__stderr__"):
        monkeypatch.setattr(sys, name, _Full())
    logs.install_logging("INFO", Redactor())
    logging.getLogger("test").warning("nobody reads this")


@pytest.mark.usefixtures("logging_state")
def test_talkative_libraries_are_kept_quiet() -> None:
    """httpx never logs its URLs, peewee never its parameters, whatever LOG_LEVEL says."""
    logs.install_logging("DEBUG", Redactor())
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)
    assert not logging.getLogger("peewee").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("slack_sdk").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("engine").isEnabledFor(logging.DEBUG)
    logs.install_logging("ERROR", Redactor())
    assert not logging.getLogger("peewee").isEnabledFor(logging.WARNING)


PROGRAM = """
import sys, threading, warnings
from engine.text.logs import install_logging
from engine.text.redaction import Redactor
redactor = Redactor()
redactor.add("lb_token", sys.argv[1])
install_logging("INFO", redactor)
warnings.warn(sys.argv[1])
def fail(): raise ValueError(sys.argv[1])
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def test_a_crash_shows_no_secret() -> None:
    """Uncaught exceptions of the main thread and of others, and warnings, are masked in a real process."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, CANARY], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == 1
    assert CANARY not in run.stdout + run.stderr
    assert run.stderr.count("ValueError: ‹secret lb_token›") == 2
    assert run.stderr.count("uncaught exception") == 2


def test_a_value_is_masked_as_long_as_it_is_lent() -> None:
    """Also where two names have the same value, and where one is lent twice; what was never lent is no harm."""
    redactor = Redactor()
    redactor.add("same", "hunter2-hunter2")
    redactor.lend([("old", "hunter2-hunter2"), ("other", "swordfish"), ("twice", "marlin-99")])
    redactor.lend([("twice", "marlin-99")])
    assert "swordfish" not in redactor.redact("hunter2-hunter2 swordfish marlin-99")
    redactor.take_back([("other", "swordfish"), ("twice", "marlin-99"), ("other", "never known")])
    redactor.take_back([("old", "hunter2-hunter2")])
    assert redactor.redact("hunter2-hunter2 swordfish marlin-99") == "‹secret same› swordfish ‹secret twice›"
    with redactor.meanwhile() as also:
        also([("made", "SWORDFISH")])
        assert redactor.redact("SWORDFISH") == "‹secret made›"
    assert redactor.redact("SWORDFISH") == "SWORDFISH"
