"""The page of a plan: what it shows, made anew, and that nobody else learns even that there is one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import ALICE, BOB, CAROL, GUEST, OSCAR, Stage, ready, shown, stage, wait_for

from bot.page.signed_links import Pass, Purpose, plan_link, sign
from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.config.settings import secret_key
from engine.runs import form_drafts
from engine.runs.form_drafts import Draft
from storage import drafts

NOTE = """
apiVersion: runbook/v1
id: note
name: Note
team: payments
parameters: {type: object, properties: {shop: {type: string, default: here}}}
concurrency: {group: "shop {{ params.shop }}", limit: 1}
steps:
  - {id: say, name: Say <it>, type: message, with: {text: "Hello WORD {{ params.shop }}"}}
  - {id: other, type: message, if: "params.shop == 'never'", with: {text: "Not done"}}
  - {id: doubt, type: message, if: "execution.id == 'x'", with: {text: "Perhaps"}}
"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("planpages"), socket_mode=False, pages=True) as running:
        (running.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE)
        ready(running)
        assert "is approved" in running.say("admin approve note@1", ALICE)
        yield running


def card(bot: Stage, text: str, user: str = CAROL) -> dict[str, Any]:
    before = len(bot.private(user))
    bot.command(text, user)
    return wait_for(lambda: bot.private(user)[before:])[0]


def link(bot: Stage, text: str, user: str = CAROL) -> str:
    found = re.search(r"<(http[^|]+/plans/[^|]+)\|", shown(card(bot, text, user)))
    assert found
    return found[1]


def cookie(bot: Stage, user: str) -> dict[str, str]:
    admitted = Pass(user, "R-1", int(time.time()) + 60)
    return {"Cookie": f"runbook_page={sign(secret_key(bot.rt.settings), Purpose.COOKIE, admitted)}"}


def get(bot: Stage, path: str, user: str | None = None, **headers: str) -> httpx.Response:
    known = cookie(bot, user) if user else {}
    return httpx.get(f"{bot.rt.settings.public_url}{path}", headers={**known, **headers}, trust_env=False)


def path_of(bot: Stage, text: str) -> str:
    return link(bot, text).removeprefix(str(bot.rt.settings.public_url)).partition("?")[0]


def test_the_link_leads_to_the_plan_with_its_picture(bot: Stage) -> None:
    """The link becomes a cookie; what each step comes to stands in the picture, and the whole text below it."""
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        page = browser.get(link(bot, "plan note shop=there"))
    assert page.status_code == 200
    assert re.search(r"/plans/\d+$", str(page.url))
    assert "You may start it now." in page.text
    assert "Hello WORD there" in page.text
    assert "Say &lt;it&gt;" in page.text
    titles = re.findall(r"<title>(.+?)</title>\n<rect", page.text)
    assert [each.rpartition(": ")[2] for each in titles] == ["would be done", "not done", "perhaps"]
    assert page.headers["cache-control"] == "no-store"


def test_it_is_made_anew_each_time(bot: Stage) -> None:
    """A version approved meanwhile and a freeze are told; nothing of the plan itself was kept."""
    path = path_of(bot, "plan note shop=again")
    assert "Not what was shown" not in get(bot, path, CAROL).text
    (bot.rt.settings.runbooks_dir / "note.yaml").write_text(NOTE.replace("WORD", "new"))
    bot.say("admin sync", ALICE)
    assert "is approved" in bot.say("admin approve note@2", ALICE)
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    try:
        told = get(bot, path, CAROL).text
    finally:
        bot.say("unfreeze team:payments", BOB)
    assert "the version is 2 now, not 1" in told
    assert "Hello new again" in told
    assert "release night" in told
    assert "You may start it now." not in told


def test_who_cannot_start_it_has_a_page_too(bot: Stage) -> None:
    """It says so; the message has no button, and the page has none for anybody."""
    address = link(bot, "plan note shop=looked", OSCAR)
    told = get(bot, "/" + address.split("/", 3)[3].partition("?")[0], OSCAR).text
    assert "You cannot start it now." in told
    assert "<button" not in told


def test_a_secret_that_was_typed_is_masked(bot: Stage) -> None:
    """In the parameters, in what is rendered of them and in the concurrency group, in the message and on the page."""
    secret = bot.sim.config.target_token
    told = card(bot, f"plan note shop={secret}")
    assert "concurrency" in shown(told)
    assert secret not in shown(told)
    path = path_of(bot, f"plan note shop={secret}")
    page = get(bot, path, CAROL)
    assert page.status_code == 200
    assert secret not in page.text


def test_nobody_else_learns_that_there_is_one(bot: Stage) -> None:
    """Other people, whatever their role and however they show who they are, get what they get for no plan at all."""
    path = path_of(bot, "plan note shop=mine")
    form = form_drafts.keep(bot.rt, ALICE, Draft({"shop": "filled"}, "here"))
    names = ("0", "987654", "9" * 30, "-1", "1e3", "٣", "x", f"{path.rpartition('/')[2]}.0", str(form))
    for user in (ALICE, BOB, OSCAR):
        nothing = get(bot, "/plans/987654", user)
        assert nothing.status_code == 404
        assert "There is no such plan" in nothing.text
        for other in (path, *(f"/plans/{name}" for name in names)):
            answer = get(bot, other, user)
            assert (answer.status_code, answer.text) == (404, nothing.text), (user, other)
    assert get(bot, path, GUEST).text == get(bot, "/plans/987654", GUEST).text
    assert get(bot, path).text == get(bot, "/plans/987654").text
    assert get(bot, path).status_code == 401
    for who, status in ((ALICE, 404), (CAROL, 200)):
        _, secret = tokens.create(bot.rt, SYSTEM, "plans", scopes="read", person=who)
        assert get(bot, path, Authorization=f"Bearer {secret}").status_code == status


def test_a_link_is_for_one_plan_and_one_person(bot: Stage) -> None:
    base, key = str(bot.rt.settings.public_url), secret_key(bot.rt.settings)
    first, second = path_of(bot, "plan note shop=one"), path_of(bot, "plan note shop=two")
    proof = plan_link(base, key, CAROL, int(first.rpartition("/")[2])).partition("?")[2]
    assert get(bot, f"{first}?{proof}").status_code == 303
    for path in (second, "/executions/R-123456", "/studio", "/studio/note"):
        assert get(bot, f"{path}?{proof}").status_code == 403
    late = sign(key, Purpose.LINK, Pass(CAROL, first.strip("/"), 1))
    assert get(bot, f"{first}?pass={late}").status_code == 403
    theirs = plan_link(base, key, ALICE, int(first.rpartition("/")[2]))
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(theirs).status_code == 404
    assert httpx.get(plan_link(base, key, GUEST, 1), trust_env=False).status_code == 403


def test_it_is_gone_after_its_hour(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(bot, "plan note shop=late")
    assert get(bot, path, CAROL).status_code == 200
    monkeypatch.setattr(drafts, "KEPT_MS", -1)
    assert get(bot, path, CAROL).status_code == 404
