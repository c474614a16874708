"""Every setting, read from the environment in one place, with all that is wrong told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values

from engine.config import audit_settings, vault_settings
from engine.config import setting_values as values
from engine.config.key_files import encode_key, key_of_file
from engine.config.near_misses import near_misses
from engine.config.secrets import VARIABLE_PREFIX
from engine.config.setting_values import DatabaseUrl
from engine.config.vault_settings import VaultSettings
from engine.egress.allowed_addresses import Allowed, parse_allow
from engine.errors import BadSettings

Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. `field` is its name in `Settings`; `default` is what an operator would have written."""

    name: str
    description: str
    parse: Parse | None = None
    default: str = ""
    secret: bool = False

    @property
    def field(self) -> str:
        """The attribute of `Settings` that holds it."""
        return self.name.lower()


_SLACK_API = "https://slack.com/api/"

# A parser of None marks a path: it is taken relative to the working directory.
SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SLACK_BOT_TOKEN",
        "The bot's token (xoxb-…). Without it the bot runs without Slack.",
        values.token("xoxb-", "xapp-", "SLACK_APP_TOKEN"),
        secret=True,
    ),
    Setting(
        "SLACK_APP_TOKEN",
        "The app-level token (xapp-…) for Socket Mode.",
        values.token("xapp-", "xoxb-", "SLACK_BOT_TOKEN"),
        secret=True,
    ),
    Setting(
        "SLACK_SIGNING_SECRET",
        "The signing secret for HTTP mode. With SLACK_APP_TOKEN set too, Socket Mode is used.",
        values.plain,
        secret=True,
    ),
    Setting("SLACK_API_URL", "Where Slack's Web API is; it ends in /api/.", values.slack_api_url, _SLACK_API),
    Setting("SLACK_COMMAND", "The slash command that the bot answers to.", values.slack_command, "/runbook"),
    Setting(
        "DATABASE_URL", "Where the data is kept: sqlite:///file or postgresql://….", None, "sqlite:///var/runbook.db"
    ),
    Setting("REDIS_URL", "The Redis server. Without it `runbook up` starts an embedded one.", values.redis_url),
    Setting("RUNBOOKS_DIR", "The folder with the runbooks and _access.yaml.", None, "runbooks.d"),
    Setting("HOST", "The address that the web server listens on.", values.host, "127.0.0.1"),
    Setting(
        "PORT", "The port that the web server listens on; 0 takes a free one.", values.whole_number(0, 65535), "3000"
    ),
    Setting("PUBLIC_URL", "The address under which people and Slack reach the bot.", values.web_url),
    Setting(
        "SECRET_KEY",
        "32 random bytes as URL-safe base64. Without it a key is made in var/secret.key.",
        values.secret_key,
        secret=True,
    ),
    Setting(
        "AUDIT_KEY",
        "Keys of the audit's chain as id:key, separated by commas; each key as SECRET_KEY. The first signs.",
        values.key_ring,
        secret=True,
    ),
    Setting(
        "SECRET_KEYS",
        "Keys for stored and received secrets, id:key with commas between, each key as SECRET_KEY; the first encrypts, "
        "all decrypt. Without it one is derived from SECRET_KEY.",
        values.secret_keys,
        secret=True,
    ),
    Setting("SECRETS_DIR", "A folder with one file a secret, beside the RUNBOOK_SECRET_<NAME> variables.", None),
    *(Setting(*row) for row in vault_settings.ROWS),
    Setting(
        "SECRETS_STRICT", "Whether a secret without an entry in _secrets.yaml is refused.", values.boolean, "false"
    ),
    Setting("ENVIRONMENT", "Which of the environments in _targets.yaml this deployment is.", values.environment, ""),
    Setting(
        "EGRESS_ALLOW",
        "Private targets that steps may call: host:port or CIDR, separated by commas. Loopback only as host:port.",
        parse_allow,
    ),
    Setting("MAX_CONCURRENT_STEPS", "Steps of one execution that may run at once.", values.whole_number(1, 1000), "5"),
    Setting(
        "DEFAULT_MAX_ATTEMPTS",
        "Attempts of a step that says nothing about retries; the first try counts.",
        values.whole_number(1, 100),
        "4",
    ),
    Setting("DB_POOL_MAX", "Database connections that one process may hold.", values.whole_number(1, 1000), "20"),
    Setting(
        "WORKER_THREADS",
        "Threads of one worker process that claim steps; a quarter as many, two at least, record calls.",
        values.whole_number(1, 256),
        "8",
    ),
    Setting(
        "WORKER_CALLS", "Calls that one worker process has under way at most.", values.whole_number(1, 10_000), "512"
    ),
    Setting(
        "LOG_LEVEL",
        "How much is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        values.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "INFO",
    ),
    Setting("API_RATE_LIMIT", "Requests a minute that one token may make.", values.whole_number(1, 1_000_000), "1200"),
    Setting("CORS_ORIGINS", "Origins of web pages that may call the REST API, separated by commas.", values.origins),
    Setting(
        "HOOK_SENDERS",
        "Who may post events to /hooks/events: name:secret or name:secret:team, separated by commas; the secret as in "
        "secrets.NAME. Without a team the sender sends for every team.",
        values.hook_senders,
    ),
    Setting(
        "GATE_CALLS",
        "How those who can decide a gate are called where its step has no `notify`: all, channel, direct or none.",
        values.one_of("all", "channel", "direct", "none"),
        "all",
    ),
    Setting(
        "ON_EDIT",
        "What an edited runbook does until it is approved: stop, or keep running the last approved version.",
        values.one_of("stop", "keep"),
        "stop",
    ),
    Setting(
        "INCIDENT_CHANNELS",
        "A regular expression (RE2): channels whose name or topic it is found in are incidents; none for none.",
        values.pattern,
        "^inc(ident)?[-_]",
    ),
    Setting(
        "ADMIN_CHANNEL",
        "The id of the channel that is told of runbooks that wait for approval. Else platform admins, one by one.",
        values.channel,
    ),
    *(Setting(*row) for row in audit_settings.ROWS),
    Setting(
        "REASON_PATTERN",
        "A regular expression (RE2) that has to be found in the reason of every control action; none for none.",
        values.pattern,
    ),
    Setting("REASON_HINT", "What people are told such a reason has to have, in a few words.", str),
    Setting(
        "APPROVAL_MAX_AGE",
        "How long the approval of a version lasts, such as 90d; then it has to be renewed. Else for good.",
        values.age,
    ),
    Setting(
        "DEFINITION_APPROVALS",
        "How many platform admins have to approve a version of a runbook of high risk.",
        values.whole_number(1, 10),
        "1",
    ),
    Setting(
        "REQUIRE_REHEARSAL",
        "From which risk on a version is approved only with a rehearsal that passes: off, high, medium or all.",
        values.one_of("off", "high", "medium", "all"),
        "off",
    ),
    Setting(
        "POLICY_URL",
        "The data endpoint of an Open Policy Agent that is asked about each deed which our own rules allow.",
        values.policy_url,
    ),
    Setting("POLICY_TOKEN", "The bearer token for POLICY_URL.", values.plain, secret=True),
    Setting("POLICY_CACERT", "A file with the certificates that the policy's is checked against."),
    Setting(
        "BREAK_GLASS",
        "Whether two people together may let a run begin in spite of a freeze, a missing approval or a quorum.",
        values.boolean,
        "false",
    ),
    Setting("ALLOW_SELF_APPROVAL", "Whether people may approve their own edits.", values.boolean, "false"),
)


@dataclass(frozen=True, slots=True)
class Settings(VaultSettings):
    """What the environment says, checked. Nothing secret is in its repr.

    `home` is the working directory that relative paths were taken from. `secret_variables` are the RUNBOOK_SECRET_*
    ones, `.env` included. `warnings` are sentences for whoever starts the bot.
    """

    home: Path
    database_url: DatabaseUrl
    slack_api_url: str
    slack_command: str
    runbooks_dir: Path
    host: str
    port: int
    max_concurrent_steps: int
    default_max_attempts: int
    db_pool_max: int
    worker_threads: int
    worker_calls: int
    log_level: str
    api_rate_limit: int
    on_edit: Literal["stop", "keep"]
    gate_calls: Literal["all", "channel", "direct", "none"]
    allow_self_approval: bool
    definition_approvals: int
    require_rehearsal: Literal["off", "high", "medium", "all"]
    incident_channels: str
    secrets_strict: bool = False
    environment: str = ""
    egress_allow: tuple[Allowed, ...] = ()
    cors_origins: tuple[str, ...] = ()
    hook_senders: tuple[values.HookSender, ...] = ()
    admin_channel: str | None = None
    reason_pattern: str | None = None
    reason_hint: str | None = None
    audit_keyed_from: int = 1
    audit_channel: str | None = None
    audit_anchor_file: Path | None = None
    audit_syslog: str | tuple[str, int] | None = None
    approval_max_age: int | None = None
    break_glass: bool = False
    public_url: str | None = None
    secrets_dir: Path | None = None
    redis_url: str | None = field(default=None, repr=False)
    slack_bot_token: str | None = field(default=None, repr=False)
    slack_app_token: str | None = field(default=None, repr=False)
    slack_signing_secret: str | None = field(default=None, repr=False)
    secret_key: bytes | None = field(default=None, repr=False)
    audit_key: tuple[values.NamedKey, ...] = field(default=(), repr=False)
    secret_keys: tuple[values.NamedKey, ...] = field(default=(), repr=False)
    policy_url: str | None = None
    policy_token: str | None = field(default=None, repr=False)
    policy_cacert: Path | None = None
    secret_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def slack_mode(self) -> Literal["none", "socket", "http"]:
        """How Slack reaches the bot; Socket Mode where the settings would do for both ways."""
        if self.slack_bot_token is None:
            return "none"
        return "socket" if self.slack_app_token else "http"

    @property
    def own_endpoints(self) -> tuple[tuple[str, int], ...]:
        """Host and port of the bot's own database and Redis, which steps may never call."""
        redis = values.redis_endpoints(self.redis_url) if self.redis_url else ()
        return (*self.database_url.endpoints, *redis)

    def secret_values(self) -> dict[str, str]:
        """What must be masked wherever text leaves the process, by the name of its setting."""
        found = {
            "SLACK_BOT_TOKEN": self.slack_bot_token,
            "SLACK_APP_TOKEN": self.slack_app_token,
            "SLACK_SIGNING_SECRET": self.slack_signing_secret,
            "SECRET_KEY": encode_key(self.secret_key) if self.secret_key else None,
            **{f"AUDIT_KEY {each.id}": encode_key(each.key) for each in self.audit_key},
            "POLICY_TOKEN": self.policy_token,
            "DATABASE_URL": self.database_url.password,
            "REDIS_URL": values.url_password(self.redis_url) if self.redis_url else None,
        }
        found |= self.vault_secrets()
        found |= {f"SECRET_KEYS {each.id}": encode_key(each.key) for each in self.secret_keys}
        return {name: value for name, value in found.items() if value and len(value) >= 4}


def load(environ: Mapping[str, str], cwd: Path) -> Settings:
    """Read `environ` over the `.env` file in `cwd`. An empty variable counts as unset.

    Raises `BadSettings` with a sentence for everything that is wrong, never showing the value of a secret.
    """
    problems: list[str] = []
    given = _read_dotenv(cwd, problems) | dict(environ)
    found = {
        setting.field: value
        for setting in SETTINGS
        if (value := _parse(setting, given.get(setting.name, "").strip() or setting.default, cwd, problems)) is not None
    }
    problems += _slack_problems(given) + vault_settings.problems(given)
    if problems:
        raise BadSettings(problems)
    return Settings(
        home=cwd,
        secret_variables={name: value for name, value in given.items() if name.startswith(VARIABLE_PREFIX)},
        warnings=tuple(near_misses(given, (setting.name for setting in SETTINGS))),
        **found,
    )


def runbooks_dir(environ: Mapping[str, str], cwd: Path) -> Path:
    """The folder with the runbooks, for who needs no other setting. A `.env` that cannot be read says nothing."""
    setting = next(each for each in SETTINGS if each.name == "RUNBOOKS_DIR")
    given = _read_dotenv(cwd, []) | dict(environ)
    return values.path(given.get(setting.name, "").strip() or setting.default, cwd)


def secret_key(settings: Settings) -> bytes:
    """The configured key, else that of `var/secret.key`, which is made when absent.

    Any number of processes may ask at once: the file appears whole, and all get the same. Raises `BadSettings`.
    """
    if settings.secret_key is not None:
        return settings.secret_key
    return key_of_file(settings.home / "var" / "secret.key", "SECRET_KEY")


def _read_dotenv(cwd: Path, problems: list[str]) -> dict[str, str]:
    path = cwd / ".env"
    try:
        if not path.is_file():
            return {}
        read = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f".env cannot be read: {error}.")
        return {}
    return {name: value for name, value in read.items() if value is not None}


def _parse(setting: Setting, text: str, cwd: Path, problems: list[str]) -> Any:
    if not text:
        return setting.parse("") if setting.parse in (parse_allow, values.origins, values.hook_senders) else None
    try:
        if setting.name == "DATABASE_URL":
            return values.database(text, cwd)
        return setting.parse(text) if setting.parse else values.path(text, cwd)
    except ValueError as error:
        shown = "" if setting.secret or setting.name in ("DATABASE_URL", "REDIS_URL") else f" {text!r} is not right:"
        problems.append(f"{setting.name}:{shown} {error}.")
        return None


def _slack_problems(given: Mapping[str, str]) -> list[str]:
    bot = given.get("SLACK_BOT_TOKEN")
    others = [name for name in ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET") if given.get(name)]
    if others and not bot:
        return [f"{' and '.join(others)} needs SLACK_BOT_TOKEN beside it."]
    if bot and not others:
        return ["SLACK_BOT_TOKEN needs SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP mode) beside it."]
    return []
