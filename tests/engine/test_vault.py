"""Secrets from a Vault: every way of logging in, leases that end, refusals, and a Vault that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import ALICE, Harness, Target, http, runbook
from kv_server import JWT, ROLE, ROLE_ID, ROOT, SECRET_ID, KvServer

from engine import doctor
from engine.access import secrets as stored
from engine.config import settings, vault
from engine.config.secrets import SecretMissing, SecretUnavailable
from engine.config.vault import VaultSource
from engine.config.vault_login import VaultRefused
from engine.doctor import Level
from engine.errors import BadSettings
from engine.queries import secrets as views
from engine.secret_watch import SecretWatch
from engine.text.redaction import Redactor

VALUE = "v4ult-canary-of-the-mine"
PATH = "runbook-bot/lb_token"
AUTH = {"type": "bearer", "token": "{{ secrets.lb_token }}"}


@pytest.fixture
def kv() -> Iterator[KvServer]:
    server = KvServer()
    server.values[PATH] = {"value": VALUE}
    yield server
    server.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter than in earnest, so that a test takes no longer than it must."""
    monkeypatch.setattr(vault, "QUIET_S", 0.3)


def source(kv: KvServer, folder: Path, **more: str) -> VaultSource:
    """With the root token unless another login is given."""
    how = {} if "VAULT_AUTH" in more or "VAULT_TOKEN_FILE" in more else {"VAULT_TOKEN": ROOT}
    return VaultSource(settings.load({"VAULT_ADDR": kv.url, **how, **more}, folder))


def app_role(kv: KvServer, folder: Path, **more: str) -> VaultSource:
    login = {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID}
    return source(kv, folder, **{**login, **more})


def with_vault(harness: Harness, kv: KvServer, folder: Path, **more: str) -> Harness:
    """The deployment with a Vault behind its store."""
    environ = {"VAULT_ADDR": kv.url, "VAULT_TOKEN": ROOT, **more}
    found = settings.load(environ, folder)
    changed = {
        name: getattr(found, name) for name in dir(found) if name.startswith("vault_") and name != "vault_secrets"
    }
    harness.settle_for(**changed)
    harness.rt = replace(harness.rt, sources=(*harness.rt.sources, VaultSource(harness.rt.settings)))
    harness.tools = replace(harness.tools, secrets=harness.rt.secrets(harness.tools.redactor))
    harness.runner = harness.worker("w-vault")
    return harness


def test_the_key_value_or_the_only_key(kv: KvServer, tmp_path: Path) -> None:
    """One trailing line break is dropped; what is neither is said, and what is not there is nobody's."""
    kv.values |= {
        "runbook-bot/only": {"token": f"{VALUE}\n"}, "runbook-bot/both": {"value": VALUE, "other": "x"},
        "runbook-bot/two": {"a": VALUE, "b": VALUE}, "runbook-bot/number": {"value": 12345678},
        "runbook-bot/large": {"value": "x" * 65_537}, "runbook-bot/odd": {"value": "abc\0defg"},
    }  # fmt: skip
    vault_ = source(kv, tmp_path)
    assert [vault_.read(name) for name in ("lb_token", "only", "both", "nothing")] == [VALUE, VALUE, VALUE, None]
    for name in ("two", "number", "large", "odd"):
        with pytest.raises(SecretMissing, match=name) as error:
            vault_.read(name)
        assert not isinstance(error.value, SecretUnavailable)
        assert VALUE not in str(error.value)


@pytest.mark.parametrize("how", ["token", "token file", "approle", "approle file", "kubernetes"])
def test_each_way_of_logging_in(kv: KvServer, tmp_path: Path, how: str) -> None:
    """What it logged in with and the token that it got are masked."""
    (tmp_path / "login").write_text({"token file": ROOT, "approle file": SECRET_ID}.get(how, JWT) + "\n")
    file = str(tmp_path / "login")
    environ = {
        "token": {"VAULT_TOKEN": ROOT},
        "token file": {"VAULT_TOKEN_FILE": file},
        "approle": {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID},
        "approle file": {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID_FILE": file},
        "kubernetes": {"VAULT_AUTH": "kubernetes", "VAULT_ROLE": ROLE, "VAULT_KUBERNETES_TOKEN_FILE": file},
    }[how]
    loaded = settings.load({"VAULT_ADDR": kv.url, "VAULT_NAMESPACE": "ops", **environ}, tmp_path)
    vault_ = VaultSource(loaded)
    assert vault_.read("lb_token") == VALUE
    assert "logged in by" in vault_.check()
    assert kv.namespaces == {"ops"}
    masked = {*vault_.known()[0].values(), *loaded.secret_values().values()}
    assert {"approle": {SECRET_ID, ROLE_ID}, "kubernetes": {JWT}, "approle file": {SECRET_ID}}.get(
        how, {ROOT}
    ) <= masked
    assert how.startswith("token") or "hvs.login-1-canary" in masked
    for secret in (ROOT, ROLE_ID, SECRET_ID):
        assert secret not in repr(loaded)


@pytest.mark.parametrize(
    "wrong",
    [
        {"VAULT_TOKEN": "hvs.wrong"}, {"VAULT_TOKEN_FILE": "/nowhere/at/all"},
        {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": "wrong-secret-id"},
        {"VAULT_AUTH": "kubernetes", "VAULT_ROLE": ROLE, "VAULT_KUBERNETES_TOKEN_FILE": "/nowhere/at/all"},
    ],
    ids=["token", "file", "approle", "kubernetes"],
)  # fmt: skip
def test_a_login_that_is_refused_says_where_to_look(kv: KvServer, tmp_path: Path, wrong: dict[str, str]) -> None:
    """It is not tried again by a step, and shows nothing that was sent."""
    vault_ = VaultSource(settings.load({"VAULT_ADDR": kv.url, **wrong}, tmp_path))
    with pytest.raises(VaultRefused, match="VAULT_") as error:
        vault_.read("lb_token")
    assert "wrong-secret-id" not in str(error.value)
    assert "hvs.wrong" not in str(error.value)


def test_a_value_is_asked_for_once_in_a_while(kv: KvServer, tmp_path: Path) -> None:
    """Also that there is none; and a new value counts when the time is over."""
    vault_ = source(kv, tmp_path, VAULT_CACHE_SECONDS="1")
    for _ in range(3):
        assert vault_.read("lb_token") == VALUE
        assert vault_.read("nothing") is None
    assert kv.asked.count("secret/data/runbook-bot/lb_token") == kv.asked.count("secret/data/runbook-bot/nothing") == 1
    kv.values[PATH] = {"value": "an0ther-value"}
    assert vault_.read("lb_token") == VALUE
    time.sleep(1.05)
    assert vault_.read("lb_token") == "an0ther-value"


@pytest.mark.parametrize("trouble", [500, 502, 503, 429, 473, 307, 204, "hang", "drip"])
def test_a_vault_that_is_away_fails_closed(
    kv: KvServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    """No older value is used, in time, and once it is back all is well."""
    monkeypatch.setattr(vault, "DEADLINE_S", 0.8)
    vault_ = app_role(kv, tmp_path, VAULT_CACHE_SECONDS="0")
    assert vault_.read("lb_token") == VALUE
    kv.trouble = trouble
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match="may be tried again") as error:
        vault_.read("lb_token")
    assert time.monotonic() - began < 2
    assert "canary" not in str(error.value)
    assert "lb_token" not in vault_.known()[0]
    asked = len(kv.asked)
    with pytest.raises(SecretUnavailable):
        vault_.read("other")
    assert len(kv.asked) == asked, "it was asked although it had not answered just now"
    kv.trouble = 0
    time.sleep(0.35)
    assert vault_.read("lb_token") == VALUE


def test_nobody_there(tmp_path: Path) -> None:
    """A refused connection is one that may come back."""
    gone = KvServer()
    gone.close()
    with pytest.raises(SecretUnavailable, match="cannot be reached"):
        source(gone, tmp_path).read("lb_token")


def test_a_lease_is_renewed_before_it_ends(kv: KvServer, tmp_path: Path) -> None:
    """By the same token, without a new login."""
    kv.lease_s = 3
    vault_ = app_role(kv, tmp_path, VAULT_CACHE_SECONDS="0")
    until = time.monotonic() + 4.5
    while time.monotonic() < until:
        assert vault_.read("lb_token") == VALUE
        time.sleep(0.1)
    assert kv.asked.count("auth/approle/login") == 1
    assert kv.asked.count("auth/token/renew-self") in (1, 2)


def test_a_lease_that_cannot_be_renewed_is_taken_anew(kv: KvServer, tmp_path: Path) -> None:
    """Before it ends."""
    kv.lease_s, kv.renewable = 1, False
    vault_ = app_role(kv, tmp_path, VAULT_CACHE_SECONDS="0")
    for _ in range(3):
        assert vault_.read("lb_token") == VALUE
        time.sleep(0.7)
    assert kv.asked.count("auth/approle/login") == 3


def test_a_token_that_was_revoked_is_replaced_once(kv: KvServer, tmp_path: Path) -> None:
    """A 403 may mean that: one new login tells, and no more than one."""
    vault_ = app_role(kv, tmp_path, VAULT_CACHE_SECONDS="0")
    assert vault_.read("lb_token") == VALUE
    kv.end_tokens()
    assert vault_.read("lb_token") == VALUE
    kv.denied.add(PATH)
    before = kv.asked.count("auth/approle/login")
    with pytest.raises(VaultRefused, match="policy needs `read`"):
        vault_.read("lb_token")
    assert kv.asked.count("auth/approle/login") == before + 1


def test_a_rotated_token_file_counts_at_the_next_login(kv: KvServer, tmp_path: Path) -> None:
    """Whoever rotates it need not start the bot anew."""
    file = tmp_path / "token"
    first = kv.grant()["auth"]["client_token"]
    file.write_text(first)
    vault_ = source(kv, tmp_path, VAULT_TOKEN_FILE=str(file), VAULT_CACHE_SECONDS="0")
    assert vault_.read("lb_token") == VALUE
    kv.end_tokens()
    file.write_text(ROOT)
    assert vault_.read("lb_token") == VALUE


def test_many_ask_at_once(kv: KvServer, tmp_path: Path) -> None:
    """One login, one question a name."""
    vault_, found = app_role(kv, tmp_path), []
    threads = [threading.Thread(target=lambda: found.append(vault_.read("lb_token"))) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert found == [VALUE] * 16
    assert kv.asked.count("auth/approle/login") == kv.asked.count(f"secret/data/{PATH}") == 1


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"VAULT_ADDR": "http://vault.example.com"}, "use https"), ({"VAULT_ADDR": "vault:8200"}, "VAULT_ADDR"),
        ({"VAULT_ADDR": "https://v"}, "VAULT_TOKEN or VAULT_TOKEN_FILE"),
        ({"VAULT_ADDR": "https://v", "VAULT_AUTH": "approle", "VAULT_ROLE_ID": "x"}, "VAULT_SECRET_ID"),
        ({"VAULT_ADDR": "https://v", "VAULT_AUTH": "kubernetes"}, "VAULT_ROLE"),
        ({"VAULT_ADDR": "https://v", "VAULT_AUTH": "ldap", "VAULT_TOKEN": "x"}, "VAULT_AUTH"),
        ({"VAULT_ADDR": "https://v", "VAULT_TOKEN": "x", "VAULT_PATH": "a/../b"}, "VAULT_PATH"),
        ({"VAULT_ADDR": "https://v", "VAULT_TOKEN": "x", "VAULT_CACHE_SECONDS": "301"}, "VAULT_CACHE_SECONDS"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_told_at_once(tmp_path: Path, environ: dict[str, str], problem: str) -> None:
    """With all others; without VAULT_ADDR nothing of it matters."""
    with pytest.raises(BadSettings, match=problem):
        settings.load(environ, tmp_path)
    settings.load({name: value for name, value in environ.items() if name == "VAULT_ROLE_ID"}, tmp_path)


def test_a_step_uses_it_and_fails_so_that_it_is_tried_again(
    harness: Harness, target: Target, kv: KvServer, tmp_path: Path
) -> None:
    """A Vault that is away fails the attempt before anything is sent; the next attempt finds it back."""
    with_vault(harness, kv, tmp_path, VAULT_CACHE_SECONDS="0")
    retry = {"max_attempts": 3, "delay": "1s"}
    harness.publish(runbook("calls", http("call", target.url("/a"), auth=AUTH, method="POST", retry=retry)))
    kv.trouble = 503
    run = harness.start("calls")
    harness.advance(run)
    assert target.hits == []
    kv.trouble = 0
    time.sleep(0.35)
    harness.run(run)
    assert harness.status(run) == "SUCCESS"
    assert VALUE.encode() in b"".join(target.server.requests)
    first, second = harness.attempts(run, "call")
    assert first.error["code"] == "secret_unavailable"
    assert "tried again" in first.error["message"]
    assert second.error is None


def test_the_store_hides_the_vault_and_the_list_says_so(harness: Harness, kv: KvServer, tmp_path: Path) -> None:
    """And where the store has none, the Vault's is used."""
    with_vault(harness, kv, tmp_path)
    harness.publish(runbook("calls", http("call", "http://127.0.0.1:9/", auth=AUTH)))
    (found,) = [each for each in views.listing(harness.rt, ALICE) if each.name == "lb_token"]
    assert (found.source, found.hides, found.problem) == ("vault", (), "")
    stored.set_value(harness.rt, ALICE, "lb_token", "fr0m-the-store")
    (found,) = [each for each in views.listing(harness.rt, ALICE) if each.name == "lb_token"]
    assert (found.source, found.hides) == ("store", ("vault",))
    assert harness.rt.secrets(Redactor()).resolve("lb_token") == "fr0m-the-store"


def test_what_approved_runbooks_read_is_masked_unused(harness: Harness, kv: KvServer, tmp_path: Path) -> None:
    """The Vault is asked for it beside the work; what a token or role is worth is masked too."""
    with_vault(harness, kv, tmp_path)
    harness.publish(runbook("calls", http("call", "http://127.0.0.1:9/", auth=AUTH)))
    redactor = Redactor()
    watch = SecretWatch(harness.rt, redactor)
    watch.look()
    watch.look()
    assert redactor.redact(f"a {VALUE} b {ROOT} c") == "a ‹secret lb_token› b ‹secret VAULT_TOKEN› c"
    assert kv.asked.count(f"secret/data/{PATH}") == 1


def test_the_doctor_looks_at_it(kv: KvServer, tmp_path: Path) -> None:
    """Whether it lets the bot in, and what to look at where not."""
    good = settings.load({"VAULT_ADDR": kv.url, "VAULT_TOKEN": ROOT}, tmp_path)
    assert [each.level for each in doctor.of_vault(good)] == [Level.OK]
    (found,) = doctor.of_vault(replace(good, vault_token="hvs.wrong"))
    assert (found.level, "VAULT_TOKEN" in found.detail) == (Level.BAD, True)
    kv.trouble = 503
    (found,) = doctor.of_vault(good)
    assert found.level is Level.BAD
    assert list(doctor.of_vault(replace(good, vault_addr=None))) == []
