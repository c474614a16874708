"""What is well with a deployment and what is not, thing by thing, each with what to do about it.

Everything is looked at by itself: one thing that is broken keeps no other from being told. Nothing is changed.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import redis

from engine import boot, health
from engine.access import external_policy
from engine.access.freezes import at_words
from engine.config import file_descriptors, home
from engine.config.secrets import SecretMissing
from engine.config.settings import Settings
from engine.config.vault import VaultSource
from engine.errors import BadSettings
from engine.queries import open_matters
from engine.runtime import Runtime
from engine.worker.actors import Hints
from storage import database, executions, orphans, people, private_files, runbooks, steps

CLOCK_WARN_S, CLOCK_BAD_S = 1.0, 5.0
PAUSED_LONG_MS = 24 * 3_600_000
"""A run that is paused for longer than a day has probably been forgotten."""
_REDIS_S = 3.0
"""A Redis on the same network answers in milliseconds; somebody is waiting for what the doctor says."""
_MOST = 5
"""Things of one kind that are named; the rest is counted."""


class Level(StrEnum):
    """How bad a finding is: WARN is to be looked at, BAD keeps the bot from doing its work."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing. `advice` says what to do, and is "" only where all is well."""

    level: Level
    thing: str
    detail: str
    advice: str = ""


def of_settings(settings: Settings) -> Iterator[Finding]:
    """What the environment says that is allowed and deserves a look."""
    for warning in settings.warnings:
        yield Finding(Level.WARN, "settings", warning, "Correct the name, or unset it.")
    if settings.public_url is None:
        yield Finding(
            Level.WARN, "settings", "PUBLIC_URL is not set: cards link to no page.", "Set it to the bot's address."
        )
    if settings.allow_self_approval:
        yield Finding(
            Level.WARN, "settings", "ALLOW_SELF_APPROVAL is on: people approve their own edits and runs.",
            "Fine for a trial; unset it for anything that matters.",
        )  # fmt: skip
    if not settings.warnings:
        yield Finding(Level.OK, "settings", f"read, with {settings.home} as the bot's home")


def of_policy(rt: Runtime) -> Iterator[Finding]:
    """Whether the external policy, if there is one, gives answers; what it answers here is of no matter."""
    if rt.settings.policy_url is None:
        return
    try:
        external_policy.ask(
            rt, {"actor": None, "action": "doctor", "thing": None, "parameters": None, "incident": None}
        )
    except external_policy.Unclear as trouble:
        advice = "Until it answers nobody can do anything. Start it, or correct POLICY_URL and POLICY_TOKEN."
        yield Finding(Level.BAD, "policy", f"the external policy {trouble}", advice)
        return
    yield Finding(Level.OK, "policy", "the external policy answers")


def of_files(settings: Settings) -> Iterator[Finding]:
    """Which of the bot's files other users of this machine may open; `.env` too, which holds its tokens."""
    found = [*home.open_to_others(settings)]
    dotenv = settings.home / ".env"
    if private_files.is_open_to_others(dotenv):
        found.append(dotenv)
    for path in found[:_MOST]:
        yield Finding(Level.WARN, "files", f"{path} may be opened by other users of this machine",
                      f"chmod go= {shlex.quote(str(path))}")  # fmt: skip
    if len(found) > _MOST:
        yield Finding(Level.WARN, "files", f"{len(found) - _MOST} more may be opened by others",
                      f"chmod -R go= {shlex.quote(str(settings.home / 'var'))}")  # fmt: skip
    if not found:
        yield Finding(Level.OK, "files", "are the bot's alone")


def of_descriptors() -> Iterator[Finding]:
    """How many files and connections a process that is started like this one may have open."""
    allowed = file_descriptors.allowed()
    if allowed >= file_descriptors.ENOUGH:
        yield Finding(Level.OK, "descriptors", f"up to {allowed} open files and connections a process")
        return
    yield Finding(
        Level.WARN, "descriptors", f"a process may have at most {allowed} open files and connections",
        f"Allow {file_descriptors.ENOUGH} or more where the bot is started: `ulimit -n`, `LimitNOFILE=` of systemd, or "
        "`--ulimit nofile=` of Docker.",
    )  # fmt: skip


def of_database(settings: Settings) -> tuple[list[Finding], Runtime | None]:
    """Whether the database answers and is this release's; with the engine over it, where it is."""
    where = "PostgreSQL" if settings.database_url.url else f"SQLite in {settings.database_url.path}"
    if not settings.database_url.url and not (settings.database_url.path or settings.home).exists():
        advice = "`runbook up` makes it, or `runbook migrate`; or start this in the bot's folder."
        return [Finding(Level.BAD, "database", f"{where} is not there", advice)], None
    began = time.monotonic()
    try:
        rt = boot.open_engine(settings, Hints(None))
    except BadSettings as error:
        advice = "`runbook migrate` brings it up to date." if "migrate" in str(error) else "See DATABASE_URL."
        return [Finding(Level.BAD, "database", each, advice) for each in error.problems], None
    took = (time.monotonic() - began) * 1000
    return [
        Finding(Level.OK, "database", f"{where} answers in {took:.0f} ms"),
        Finding(Level.OK, "schema", "is this release's"),
    ], rt


def of_redis(settings: Settings) -> Iterator[Finding]:
    """Whether the Redis that is set answers."""
    if settings.redis_url is None:
        yield Finding(Level.OK, "redis", "REDIS_URL is not set: `runbook up` brings its own")
        return
    try:
        with redis.Redis.from_url(
            settings.redis_url, socket_timeout=_REDIS_S, socket_connect_timeout=_REDIS_S
        ) as client:
            client.ping()
    except redis.RedisError as error:
        yield Finding(
            Level.WARN, "redis", f"does not answer ({type(error).__name__}): new work starts up to 5 s late",
            "Start it, or correct REDIS_URL.",
        )  # fmt: skip
        return
    yield Finding(Level.OK, "redis", "answers")


def of_vault(settings: Settings) -> Iterator[Finding]:
    """Whether the Vault that is set lets the bot in."""
    if settings.vault_addr is None:
        return
    try:
        found = VaultSource(settings).check()
    except SecretMissing as error:
        yield Finding(
            Level.BAD, "vault", str(error), f"Look at {settings.vault_addr} and at the settings that begin with VAULT_."
        )
        return
    yield Finding(Level.OK, "vault", found)


def of_clock(_rt: Runtime) -> Iterator[Finding]:
    """Whether this machine's clock and the database's agree: timers follow the database's."""
    database.refresh_clock()
    apart = abs(database.now() / 1000 - time.time())
    level = Level.BAD if apart >= CLOCK_BAD_S else Level.WARN if apart >= CLOCK_WARN_S else Level.OK
    advice = "" if level is Level.OK else "Let both machines follow a time server (NTP)."
    yield Finding(level, "clock", f"is {apart:.1f} s off the database's", advice)


_HEALTH_ADVICE = {
    "sync": "Start the web process, or `runbook sync`; look in the log for files it names.",
    "worker": "Start `runbook up` or `runbook worker`; look in the log for why it ended.",
    "queue": "Look in the workers' log for why they are stuck, or start more.",
    "database": "Look at the database and its disk.",
    "secrets": "Put the key that is named behind the first of SECRET_KEYS, or bring the right one back, or set those "
    "anew: runbook secret set NAME.",
    "slack": "Look at Slack's status page, and in the log for what Slack refuses.",
}


def of_running(rt: Runtime) -> Iterator[Finding]:
    """What readiness looks at too: the sync, workers, how long work waits, how late Slack is."""
    for check in health.checks(rt):
        if check.ok:
            if check.name != "database":
                yield Finding(Level.OK, check.name, check.detail)
            continue
        level = Level.BAD if check.vital else Level.WARN
        yield Finding(level, check.name, check.detail, _HEALTH_ADVICE.get(check.name, "Look in the log."))
    yield from _of_catalogue(rt)


def _of_catalogue(rt: Runtime) -> Iterator[Finding]:
    with database.reading():
        synced = runbooks.last_sync(rt.workspace_id)
        policy = people.policy(rt.workspace_id)
    if synced is not None and not synced.ok:
        yield Finding(
            Level.WARN, "runbooks", "the last reading of the runbooks folder found something wrong",
            f"`runbook check {rt.settings.runbooks_dir}/*.yaml` says what.",
        )  # fmt: skip
    if not policy or not policy.get("platform_admins"):
        yield Finding(
            Level.BAD, "access", "there is no platform admin, so nobody can approve a runbook",
            f"Name some in {rt.settings.runbooks_dir}/_access.yaml.",
        )  # fmt: skip


def of_stuck(rt: Runtime) -> Iterator[Finding]:
    """Runs that will not go on by themselves and that somebody may have forgotten."""
    at = database.now()
    with database.reading():
        unsettled = steps.all_unknown(rt.workspace_id)
        held = orphans.late(at)
        open_runs = executions.count_open(rt.workspace_id)
        paused = executions.paused_since(rt.workspace_id, at - PAUSED_LONG_MS, _MOST)
    for execution_id, path in unsettled[:_MOST]:
        yield Finding(
            Level.WARN, "runs", f"{execution_id}: nobody saw how {path} ended",
            f'Look at its target, then: runbook resolve {execution_id} {path} done|failed|retry note="…"',
        )  # fmt: skip
    for run in paused:
        yield Finding(
            Level.WARN, "runs", f"{run} is paused for more than a day", f"runbook resume {run}, or cancel it."
        )
    if held:
        yield Finding(
            Level.BAD, "runs", f"{sum(held.values())} steps are held by workers that are gone",
            "A live worker takes them over within seconds: start one.",
        )  # fmt: skip
    if not unsettled and not held:
        yield Finding(Level.OK, "runs", f"{open_runs} open, none of them stuck")


def of_open_matters(rt: Runtime) -> Iterator[Finding]:
    """Held requests, reviews, the calendar and secrets: what waits for somebody and stops nothing."""
    found = open_matters.of(rt)
    if found.held:
        until = at_words(min(each.expires_at for each in found.held))
        detail = f"{len(found.held)} wait to be released, the first until {until}"
        yield Finding(Level.OK, "held requests", detail)
    if found.reviews:
        level = Level.WARN if found.overdue else Level.OK
        detail = f"{len(found.reviews)} reviews are open, {len(found.overdue)} of them for more than 7 days"
        advice = (
            "A platform admin who had no part in it closes each: `runbook reviews` lists them." if found.overdue else ""
        )
        yield Finding(level, "break-glass", detail, advice)
    window, wrong = open_matters.calendar(rt)
    if wrong:
        yield Finding(Level.WARN, "calendar", wrong, "Mend the file; until then the windows of the last good one hold.")
    elif window is not None:
        yield Finding(
            Level.OK, "calendar", f"the next window freezes {window.scope} from {at_words(window.created_at)}"
        )
    yield from _of_secrets(rt)


def _of_secrets(rt: Runtime) -> Iterator[Finding]:
    unused, keys = open_matters.unused_secrets(rt), open_matters.unused_keys(rt)
    if unused:
        more = f" and {len(unused) - _MOST} more" if len(unused) > _MOST else ""
        detail = f"no step has read {', '.join(unused[:_MOST])}{more} for 90 days"
        yield Finding(Level.WARN, "secrets", detail, "`runbook secret delete NAME` erases what nobody needs.")
    if keys:
        detail = f"nothing is kept under {', '.join(keys)} any more"
        yield Finding(Level.OK, "secrets", f"{detail}: SECRET_KEYS may do without")
