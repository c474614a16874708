"""The pages of freezes, secrets and the audit: what they tell, whom, and that no value and no markup is on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from stage import ALICE, BOB, CAROL, GUEST, OSCAR, Stage, ready, stage
from test_pages import cookie

from engine.access import secrets
from engine.access.policy import Actor
from engine.queries import audit_chain
from engine.queries.audit_chain import Trouble

HOSTILE = "</pre><script>alert(1)</script>"
VALUE = "do-not-show-this-one"
STRANGER = "U0NOBODY1"


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("safety"), socket_mode=False, pages=True) as running:
        ready(running)
        secrets.set_value(running.rt, Actor(ALICE, standing="member"), "lb_token", VALUE)
        yield running


@pytest.fixture
def browser(bot: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=str(bot.rt.settings.public_url), trust_env=False) as client:
        yield client


@pytest.fixture
def frozen(bot: Stage) -> Iterator[str]:
    """A freeze of the team's runbooks, lifted again."""
    told = bot.say(f'freeze team:payments for=2h reason="migration {HOSTILE}"', BOB)
    (freeze,) = re.findall(r"F-\w+", told)[:1]
    yield freeze
    bot.say(f"unfreeze {freeze}", BOB)


def page(bot: Stage, browser: httpx.Client, address: str, user: str = ALICE) -> str:
    answer = browser.get(address, headers=cookie(bot, user))
    assert answer.status_code == 200, answer.text
    assert "<script>alert" not in answer.text
    assert not re.search(r"<[^>]+\s(on\w+|style)=", answer.text)
    return answer.text


def test_a_freeze_is_told_with_who_why_until_when_and_who_lifts_it(
    bot: Stage, browser: httpx.Client, frozen: str
) -> None:
    """On its own page, above the catalogue, and at the runbook; and nowhere once it is lifted."""
    told = page(bot, browser, "/freezes", CAROL)
    for word in (
        frozen,
        "team:payments",
        "migration",
        "Set by bob",
        "admins of team payments and platform admins",
        f"<code>unfreeze {frozen}</code>",
    ):
        assert word in told
    listed = page(bot, browser, "/runbooks", CAROL)
    assert "team:payments is frozen" in listed
    assert f'href="/freezes#{frozen}"' in listed
    assert '<span class="badge wait">frozen</span>' in listed
    assert "you may run it" in listed
    bot.say(f"unfreeze {frozen}", BOB)
    assert "is frozen" not in page(bot, browser, "/runbooks", CAROL)
    assert "Nothing is frozen." in page(bot, browser, "/freezes", CAROL)


def test_a_run_says_that_it_is_frozen(bot: Stage, browser: httpx.Client) -> None:
    """Its page has the banner while a freeze covers it, and another scope's freeze does not put it there."""
    run = bot.start("run drain service=basket")
    assert "is frozen" not in page(bot, browser, f"/executions/{run}")
    (freeze,) = re.findall(r"F-\w+", bot.say('freeze runbook:drain for=1h reason="x"', BOB))[:1]
    assert "runbook:drain is frozen" in page(bot, browser, f"/executions/{run}")
    bot.say(f"unfreeze {freeze}", BOB)
    (freeze,) = re.findall(r"F-\w+", bot.say('freeze runbook:careful for=1h reason="x"', BOB))[:1]
    assert "is frozen" not in page(bot, browser, f"/executions/{run}")
    bot.say(f"unfreeze {freeze}", BOB)


def test_a_held_request_is_told_with_its_gates_and_parameters(bot: Stage, browser: httpx.Client, frozen: str) -> None:
    """And with the sentence of the freeze, its setter by name."""
    told = bot.say('run careful hold=yes reason="later"', CAROL)
    (held,) = re.findall(r"H-\w+", told)[:1]
    shown = page(bot, browser, "/freezes", CAROL)
    for word in (
        held,
        "careful@1",
        "Asked for by carol",
        "later",
        "<code>sign-off</code>",
        f"{frozen} freezes team:payments",
    ):
        assert word in shown
    assert f"@{BOB}" not in shown
    bot.say(f"held drop {held}", CAROL)
    assert held not in page(bot, browser, "/freezes", CAROL)


def test_secrets_are_told_without_their_values(bot: Stage, browser: httpx.Client) -> None:
    """Where from, who reads it, who set it when; of one every version."""
    told = page(bot, browser, "/secrets", CAROL)
    for word in ("lb_token", "every team", "every host", 'href="/secrets/lb_token"', "version 1", ">drain</a>"):
        assert word in told
    secrets.set_value(bot.rt, Actor(ALICE, standing="member"), "lb_token", VALUE + "2")
    versions = page(bot, browser, "/secrets/lb_token", CAROL)
    assert versions.count("<tr>") == 3
    assert "<td>alice</td>" in versions
    assert VALUE not in told + versions + page(bot, browser, "/audit?thing=secret:lb_token")
    assert browser.get("/secrets/none_such", headers=cookie(bot, ALICE)).status_code == 404


def test_the_audit_is_searched_turned_and_exported(
    bot: Stage, browser: httpx.Client, frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each key; a part at a time, none twice and none left out; as a file with the same keys."""
    shown = page(bot, browser, f"/audit?action=freeze.set&actor={BOB}&severity=warning&since=1h")
    assert f"freeze:{frozen}" in shown
    assert "No row fits." in page(bot, browser, f"/audit?action=freeze.set&actor={CAROL}")
    assert "is no time" in page(bot, browser, "/audit?since=soon")
    assert "is one of" in page(bot, browser, "/audit?severity=awful")
    bot.say(f"unfreeze {frozen}", BOB)
    run = bot.start("run drain service=checkout")
    assert f'href="/executions/{run}"' in page(bot, browser, f"/audit?thing=execution:{run}")
    lines = browser.get("/audit/export?format=jsonl&action=freeze.set", headers=cookie(bot, ALICE))
    assert lines.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    rows = [json.loads(line) for line in lines.text.splitlines()]
    assert {row["action"] for row in rows} == {"freeze.set"}
    assert browser.get("/audit/export?format=cef", headers=cookie(bot, ALICE)).text.startswith("CEF:0")
    assert browser.get("/audit/export?format=xml", headers=cookie(bot, ALICE)).status_code == 409
    assert "audit.export" in page(bot, browser, "/audit?action=audit.export")
    monkeypatch.setattr("bot.page.audit.PAGE", 1)
    seen, address = list[str](), "/audit?action=freeze.set"
    while address:
        told = page(bot, browser, address)
        seen += re.findall(r"freeze:(F-\w+)", told)
        more = re.search(r'href="(/audit\?[^"]*cursor=[^"]+)"', told)
        address = more[1].replace("&amp;", "&") if more else ""
    assert sorted(seen) == sorted(row["thing"].removeprefix("freeze:") for row in rows)


def test_the_chain_is_verified_when_that_is_asked_for(
    bot: Stage, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each look; and a row that was altered is named."""
    assert "The chain is" not in page(bot, browser, "/audit")
    assert "The chain is whole." in page(bot, browser, "/audit?verify=yes")
    for said in ("no", "False", "0", ""):
        assert "The chain is" not in page(bot, browser, f"/audit?verify={said}")
    assert browser.get("/audit?verify=perhaps", headers=cookie(bot, ALICE)).status_code == 409
    head = audit_chain.verify(bot.rt)
    assert f"Head: row {head.seq}" in page(bot, browser, "/audit")
    broken = replace(head, troubles=(Trouble(2, "was changed <b>"),))
    monkeypatch.setattr(audit_chain, "verify", lambda _: broken)
    told = page(bot, browser, "/audit?verify=yes")
    assert "The chain is broken." in told
    assert "Row 2 was changed &lt;b&gt;." in told


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("/freezes", {ALICE, BOB, CAROL, OSCAR}),
        ("/secrets", {ALICE, BOB, CAROL}),
        ("/secrets/lb_token", {ALICE, BOB, CAROL}),
        ("/audit", {ALICE}),
        ("/audit?verify=yes", {ALICE}),
        ("/audit/export", {ALICE}),
        ("/audit/export?format=nonsense", set()),
    ],
)
def test_each_page_is_for_whom_the_policy_lets(bot: Stage, browser: httpx.Client, path: str, may: set[str]) -> None:
    """By the same rights as the API; whoever has none sees neither the page nor its name in the menu."""
    assert browser.get(path).status_code == 401
    for user in (ALICE, BOB, CAROL, OSCAR, GUEST, STRANGER):
        answer = browser.get(path, headers=cookie(bot, user))
        assert (answer.status_code == 200) is (user in may), (user, answer.text)
        if user == BOB and path == "/freezes":
            assert 'href="/secrets"' in answer.text
            assert 'href="/audit"' not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
