"""Settings: defaults, what is refused, and that nothing secret is shown."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.config.setting_values import HookSender, NamedKey
from engine.config.settings import SETTINGS, Settings, load, secret_key
from engine.errors import BadSettings

SENDERS = (HookSender("ci", "ci_hook"), HookSender("g", "g", "db"))
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1-canary", "SLACK_APP_TOKEN": "xapp-1-canary"}


def problems_of(cwd: Path, **environ: str) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as error:
        load(environ, cwd)
    return error.value.problems


def test_the_defaults(tmp_path: Path) -> None:
    """An empty environment is a working one."""
    settings = load({}, tmp_path)
    assert settings.database_url.kind == "sqlite"
    assert settings.database_url.path == tmp_path / "var" / "runbook.db"
    assert settings.runbooks_dir == tmp_path / "runbooks.d"
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 3000, None)
    assert (settings.slack_mode, settings.slack_command) == ("none", "/runbook")
    assert settings.slack_api_url == "https://slack.com/api/"
    assert (settings.max_concurrent_steps, settings.default_max_attempts) == (5, 4)
    assert (settings.db_pool_max, settings.worker_threads) == (20, 8)
    assert (settings.log_level, settings.on_edit, settings.allow_self_approval) == ("INFO", "stop", False)
    assert (settings.egress_allow, settings.cors_origins, settings.own_endpoints) == ((), (), ())
    assert (settings.redis_url, settings.secrets_dir, settings.secret_key) == (None, None, None)
    assert settings.warnings == ()


def test_a_key_of_the_audit_is_never_shown(tmp_path: Path) -> None:
    """Neither where it is wrong nor among the settings; where text leaves the process it is masked."""
    (problem,) = problems_of(tmp_path, AUDIT_KEY=f"2027:{KEY},x:{KEY[:-2]}")
    assert KEY[:20] not in problem
    loaded = load({"AUDIT_KEY": f"2027:{KEY}"}, tmp_path)
    assert KEY[:20] not in repr(loaded)
    assert KEY in loaded.secret_values().values()


def test_the_table_and_the_values_belong_together() -> None:
    """Each variable has a field and one sentence of description, and each is listed once."""
    derived = {"home", "secret_variables", "warnings"}
    assert {setting.field for setting in SETTINGS} == {entry.name for entry in fields(Settings)} - derived
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    assert all(setting.description.endswith(".") for setting in SETTINGS)


GOOD: list[tuple[str, str, str, Any]] = [
    ("PORT", "0", "port", 0),
    ("PORT", "65535", "port", 65535),
    ("HOST", "0.0.0.0", "host", "0.0.0.0"),
    ("HOST", "[::1]", "host", "::1"),
    ("HOST", "bot.internal", "host", "bot.internal"),
    ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    (
        "AUDIT_KEY",
        f"2027:{KEY}, old:{KEY}",
        "audit_key",
        tuple(NamedKey(each, bytes(range(32))) for each in ("2027", "old")),
    ),
    ("AUDIT_KEYED_FROM", "", "audit_keyed_from", 1),
    ("AUDIT_SYSLOG", "local", "audit_syslog", "local"),
    ("AUDIT_SYSLOG", "[::1]:514", "audit_syslog", ("::1", 514)),
    ("AUDIT_CHANNEL", "C0AUDIT01", "audit_channel", "C0AUDIT01"),
    ("REASON_PATTERN", "CHG-[0-9]+", "reason_pattern", "CHG-[0-9]+"),
    ("REASON_PATTERN", "none", "reason_pattern", ""),
    ("REASON_HINT", "the change's number, as in CHG-1", "reason_hint", "the change's number, as in CHG-1"),
    ("ON_EDIT", "Keep", "on_edit", "keep"),
    ("BREAK_GLASS", "yes", "break_glass", True),
    ("AUDIT_CHANNEL", "C0AUDIT01", "audit_channel", "C0AUDIT01"),
    ("ALLOW_SELF_APPROVAL", "Yes", "allow_self_approval", True),
    ("ALLOW_SELF_APPROVAL", "0", "allow_self_approval", False),
    ("ALLOW_SELF_APPROVAL", "", "allow_self_approval", False),
    ("SLACK_COMMAND", "/ops", "slack_command", "/ops"),
    ("SLACK_API_URL", "http://127.0.0.1:3900/api", "slack_api_url", "http://127.0.0.1:3900/api/"),
    ("SLACK_API_URL", "http://127.0.0.1:3900/api/", "slack_api_url", "http://127.0.0.1:3900/api/"),
    ("PUBLIC_URL", "https://bot.example.com/x/", "public_url", "https://bot.example.com/x"),
    ("HOOK_SENDERS", "ci:ci_hook, g:RUNBOOK_SECRET_G:db", "hook_senders", SENDERS),
    ("CORS_ORIGINS", "https://a.test, http://b.test:8080", "cors_origins", ("https://a.test", "http://b.test:8080")),
    ("REDIS_URL", "redis://cache:6380/1", "redis_url", "redis://cache:6380/1"),
    ("SECRET_KEY", KEY, "secret_key", bytes(range(32))),
    ("SECRET_KEY", KEY.rstrip("="), "secret_key", bytes(range(32))),
    ("DEFAULT_MAX_ATTEMPTS", " 1 ", "default_max_attempts", 1),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_what_is_read(tmp_path: Path, name: str, text: str, field: str, value: Any) -> None:
    """Each spelling gives its value."""
    assert getattr(load({name: text}, tmp_path), field) == value


BAD = [
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "http"),
    ("PORT", "٣"),
    ("HOST", "127.0.0.1:3000"),
    ("HOST", "http://x"),
    ("LOG_LEVEL", "LOUD"),
    ("ON_EDIT", "maybe"),
    ("AUDIT_KEY", KEY),
    ("AUDIT_KEY", "2027:tooshort"),
    ("AUDIT_KEY", f"2027:{KEY},2027:{KEY}"),
    ("AUDIT_KEY", f"2 7:{KEY}"),
    ("AUDIT_KEYED_FROM", "0"),
    ("AUDIT_SYSLOG", "somewhere"),
    ("AUDIT_SYSLOG", "host:0"),
    ("AUDIT_SYSLOG", ":514"),
    ("AUDIT_CHANNEL", "#audit"),
    ("REASON_PATTERN", "(?=x)"),
    ("ALLOW_SELF_APPROVAL", "perhaps"),
    ("SLACK_COMMAND", "runbook"),
    ("SLACK_COMMAND", "/Run Book"),
    ("SLACK_API_URL", "https://slack.com/"),
    ("SLACK_API_URL", "slack.com/api/"),
    ("PUBLIC_URL", "bot.example.com"),
    ("PUBLIC_URL", "https://bot.example.com:port"),
    ("HOOK_SENDERS", "ci"),
    ("HOOK_SENDERS", "ci:a,ci:b"),
    ("HOOK_SENDERS", "c i:a"),
    ("HOOK_SENDERS", "ci:a:"),
    ("HOOK_SENDERS", "ci:a:Team"),
    ("HOOK_SENDERS", "ci:a:b:c"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "https://a.test/path"),
    ("REDIS_URL", "localhost:6379"),
    ("DATABASE_URL", "mysql://host/db"),
    ("DATABASE_URL", "sqlite://var/x.db"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "runbook.db"),
    ("DATABASE_URL", "postgresql://host"),
    ("DATABASE_URL", "postgresql://host:port/db"),
    ("DATABASE_URL", "postgresql://a:1,b:x/db"),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "!" * 43),
    ("SLACK_APP_TOKEN", "xoxb-wrong-way-round"),
    ("SLACK_BOT_TOKEN", "xapp-wrong-way-round"),
    ("SLACK_SIGNING_SECRET", "has a space"),
    ("EGRESS_ALLOW", "10.0.0.1"),
    ("MAX_CONCURRENT_STEPS", "0"),
    ("DEFAULT_MAX_ATTEMPTS", "1.5"),
    ("DB_POOL_MAX", "many"),
    ("WORKER_THREADS", "0"),
    ("RUNBOOKS_DIR", "~nobody-of-that-name/runbooks"),
    ("SECRETS_DIR", "~0"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_what_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """Each wrong value gives one sentence that begins with the variable's name."""
    sentences = [problem for problem in problems_of(tmp_path, **{name: text}) if problem.startswith(f"{name}:")]
    assert len(sentences) == 1
    assert sentences[0].endswith(".")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to fix settings one by one; bad entries of EGRESS_ALLOW are each named."""
    problems = problems_of(
        tmp_path, PORT="x", LOG_LEVEL="x", EGRESS_ALLOW="10.0.0.0/8,*:1,127.0.0.0/8", DB_POOL_MAX="0"
    )
    assert {problem.partition(":")[0] for problem in problems} == {"PORT", "LOG_LEVEL", "EGRESS_ALLOW", "DB_POOL_MAX"}
    egress = next(problem for problem in problems if problem.startswith("EGRESS_ALLOW"))
    assert "'*:1'" in egress
    assert "'127.0.0.0/8'" in egress


def test_problems_never_show_secrets(tmp_path: Path) -> None:
    """A wrong secret is described without its value."""
    problems = problems_of(
        tmp_path,
        SECRET_KEY="canary",
        SLACK_APP_TOKEN="xoxb-canary",
        SLACK_SIGNING_SECRET="can ary",
        DATABASE_URL="mysql://u:canary@h/d",
        REDIS_URL="redis://:canary/x@h",
    )
    assert len(problems) >= 5
    assert "canary" not in " ".join(problems)


@pytest.mark.parametrize(
    ("given_", "mode"),
    [
        (SLACK, "socket"),
        ({**SLACK, "SLACK_SIGNING_SECRET": "abc123"}, "socket"),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "abc123"}, "http"),
        ({"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": ""}, "none"),
    ],
)
def test_how_slack_is_reached(tmp_path: Path, given_: dict[str, str], mode: str) -> None:
    """With both ways set, Socket Mode is used."""
    assert load(given_, tmp_path).slack_mode == mode


def test_half_a_slack_configuration_is_a_problem(tmp_path: Path) -> None:
    """One token without its counterpart is told, not guessed."""
    assert "SLACK_BOT_TOKEN" in problems_of(tmp_path, SLACK_APP_TOKEN="xapp-1")[0]
    assert "SLACK_BOT_TOKEN" in problems_of(tmp_path, SLACK_SIGNING_SECRET="abc123")[0]
    assert "SLACK_APP_TOKEN" in problems_of(tmp_path, SLACK_BOT_TOKEN="xoxb-1")[0]


@pytest.mark.parametrize(
    ("url", "endpoints", "password"),
    [
        ("postgresql://bot:p%40ss@db.test/runbook", (("db.test", 5432),), "p@ss"),
        ("postgres://db.test:6000/runbook", (("db.test", 6000),), None),
        ("postgresql://a:1,b:2/runbook", (("a", 1), ("b", 2)), None),
        ("postgresql://[fd12::1]:7000/runbook", (("fd12::1", 7000),), None),
        ("postgresql:///runbook", (("localhost", 5432),), None),
        ("postgresql:///runbook?host=/var/run/postgresql", (), None),
        ("postgresql:///runbook?host=db.test&port=99&password=secret", (("db.test", 99),), "secret"),
    ],
)
def test_postgresql_urls(tmp_path: Path, url: str, endpoints: Any, password: str | None) -> None:
    """The server's places are known to be kept from steps, the password to be masked."""
    database = load({"DATABASE_URL": url}, tmp_path).database_url
    assert (database.kind, database.endpoints, database.password) == ("postgresql", endpoints, password)
    assert database.url.startswith("postgresql://")


def test_sqlite_urls(tmp_path: Path) -> None:
    """Three slashes are relative to the working directory, four are absolute."""
    assert load({"DATABASE_URL": "sqlite:///a/b.db"}, tmp_path).database_url.path == tmp_path / "a" / "b.db"
    absolute = load({"DATABASE_URL": f"sqlite:///{tmp_path}/c.db"}, Path("/")).database_url
    assert absolute.path == tmp_path / "c.db"


def test_own_endpoints_and_secret_values(tmp_path: Path) -> None:
    """Database and Redis are known by place, and every secret value by name."""
    settings = load(
        {
            **SLACK,
            "DATABASE_URL": "postgresql://u:dbpass@db/x",
            "REDIS_URL": "rediss://:redispass@cache:6380/0",
            "SECRET_KEY": KEY,
        },
        tmp_path,
    )
    assert settings.own_endpoints == (("db", 5432), ("cache", 6380))
    assert settings.secret_values() == {
        **SLACK,
        "DATABASE_URL": "dbpass",
        "REDIS_URL": "redispass",
        "SECRET_KEY": KEY,
    }
    assert load({"REDIS_URL": "unix:///run/redis.sock"}, tmp_path).own_endpoints == ()


def test_the_repr_shows_no_secret(tmp_path: Path) -> None:
    """Settings can be logged."""
    environ = {
        **SLACK,
        "SLACK_SIGNING_SECRET": "canary-signing",
        "DATABASE_URL": "postgresql://u:canary@db/x",
        "REDIS_URL": "redis://:canary@cache",
        "RUNBOOK_SECRET_LB": "canary",
        "SECRET_KEY": KEY,
    }
    settings = load(environ, tmp_path)
    assert settings.secret_variables == {"RUNBOOK_SECRET_LB": "canary"}
    assert "canary" not in repr(settings)
    assert repr(bytes(range(32))) not in repr(settings)


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    """Values with a dollar sign stay as they are, and secrets may stand there too."""
    (tmp_path / ".env").write_text('PORT=4000\nLOG_LEVEL=DEBUG\nRUNBOOK_SECRET_A="pa$HOME word"\nEMPTY\n')
    settings = load({"PORT": "5000"}, tmp_path)
    assert (settings.port, settings.log_level) == (5000, "DEBUG")
    assert settings.secret_variables == {"RUNBOOK_SECRET_A": "pa$HOME word"}


def test_an_unreadable_dotenv_file_is_a_problem(tmp_path: Path) -> None:
    """A file that is not text is told, not skipped."""
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\n")
    assert ".env cannot be read" in problems_of(tmp_path)[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REDIS_URI", "REDIS_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("SECRET_DIR", "SECRETS_DIR"),
        ("EGRESS_ALOW", "EGRESS_ALLOW"),
        ("SLACK_SIGNING_SECRETS", "SLACK_SIGNING_SECRET"),
        ("RUNBOOK_SECRETS_LB", "RUNBOOK_SECRET_<NAME>"),
        ("RUNBOOK_SECERT_LB", "RUNBOOK_SECRET_<NAME>"),
        ("RUNBOOK_DIR", "RUNBOOKS_DIR"),
    ],
)
def test_misspelt_names_are_warned_of(tmp_path: Path, name: str, meant: str) -> None:
    """A clear near-miss of one of our names gives the right word."""
    assert load({name: "x"}, tmp_path).warnings == (f"{name} is not a setting; did you mean {meant}?",)


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    """Usual variables of a shell or a container give no warning."""
    names = "PATH HOME HOSTNAME LANG PWD SHELL TERM USER PORTS PYTHONPATH VIRTUAL_ENV PGHOST LOGNAME KUBERNETES_PORT"
    assert load(dict.fromkeys(names.split(), "x"), tmp_path).warnings == ()


def test_the_key_is_configured_or_made_once(tmp_path: Path) -> None:
    """A configured key wins; else one is made, for the owner's eyes only, and stays."""
    assert secret_key(load({"SECRET_KEY": KEY}, tmp_path)) == bytes(range(32))
    assert not (tmp_path / "var").exists()
    made = secret_key(load({}, tmp_path))
    assert len(made) == 32
    assert secret_key(load({}, tmp_path)) == made
    path = tmp_path / "var" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret.key"]


def test_many_processes_make_one_key(tmp_path: Path) -> None:
    """Whoever asks at the same moment gets the same key."""
    settings = load({}, tmp_path)
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: secret_key(settings), range(64)))
    assert len(keys) == 1


def test_a_broken_key_file_is_a_problem(tmp_path: Path) -> None:
    """A file that holds no key is told instead of being replaced."""
    path = tmp_path / "var" / "secret.key"
    path.parent.mkdir()
    path.write_text("canary")
    with pytest.raises(BadSettings, match="does not hold a key") as error:
        secret_key(load({}, tmp_path))
    assert "canary" not in str(error.value)
    assert path.read_text() == "canary"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(environ=st.dictionaries(st.sampled_from([setting.name for setting in SETTINGS]), st.text(max_size=30)))
def test_any_environment_loads_or_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """No value raises anything but BadSettings, whose problems each name a variable."""
    try:
        settings = load(environ, tmp_path)
    except BadSettings as error:
        names = [setting.name for setting in SETTINGS]
        outcome = [problem for problem in error.problems if not any(name in problem for name in names)]
    else:
        outcome = [] if settings.own_endpoints is not None else ["endpoints"]
    assert outcome == []
