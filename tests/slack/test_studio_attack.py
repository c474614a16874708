"""The studio against what a text may hold: nothing of it comes alive in a browser, and none wears the bot down."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright
from stage import ALICE, CAROL, OSCAR, Stage, ready, stage
from test_studio import Person

from engine.catalog import catalog
from engine.errors import NotFound

LIVE = "</script></textarea></title><script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
SVG = "\"><svg onload=window.pwned=1><a href='javascript:window.pwned=1'>x</a>{{ 7 }}"
HOSTILE = json.dumps(
    {
        "apiVersion": "runbook/v1", "id": "hostile", "name": LIVE, "description": SVG,
        "parameters": {
            "type": "object",
            "properties": {
                "x": {"type": "string", "title": LIVE[:70], "description": SVG[:90], "default": LIVE},
                "y": {"type": "string", "enum": [SVG, LIVE], "default": LIVE},
            },
        },
        "steps": [
            {"id": "a", "name": LIVE, "type": "message", "with": {"text": f"{{{{ params.x }}}} {LIVE}"}},
            {
                "id": "b", "name": SVG, "type": "http", "if": "params.y != ''",
                "with": {"url": "https://example.com/", "method": "POST", "text": "{{ params.x }}"},
                "outputs": {"got": "{{ response.text }}"},
            },
        ],
    }
)  # fmt: skip
REHEARSAL = json.dumps(
    {"cases": [{"name": LIVE, "stubs": {"b": {"text": LIVE}}, "expect": {"outcome": "FAILED", "messages": [SVG]}}]}
)


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("studio"), socket_mode=False, pages=True) as running:
        ready(running)
        yield running


@pytest.fixture(scope="module")
def page(bot: Stage) -> Iterator[Page]:
    """A browser that has Alice's cookie, and no mercy: what the page's own rules stop counts as alive, too."""
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("REQUIRE_CHROMIUM") != "1", "there is no chromium on the PATH"
        pytest.skip("there is no chromium on the PATH")
    alice = Person(bot, ALICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(bypass_csp=True)
        context.add_cookies([{"name": name, "value": value, "url": alice.base} for name, value in alice.cookie.items()])
        yield context.new_page()
        browser.close()


def nothing_lives(page: Page) -> None:
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("text", [HOSTILE, HOSTILE.replace('"steps"', '"stepz"')], ids=["right", "wrong"])
def test_nothing_of_a_text_comes_alive(bot: Stage, page: Page, text: str) -> None:
    """In its problems, picture and form, typed, checked and rehearsed, with the rules for scripts turned off."""
    page.goto(f"{bot.rt.settings.public_url}/studio")
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.wait_for_timeout(1_500)
    nothing_lives(page)
    page.evaluate("text => { document.querySelector('[name=rehearsal]').value = text }", REHEARSAL)
    page.get_by_role("button", name="Rehearse").click()
    page.wait_for_timeout(4_000)
    nothing_lives(page)
    page.locator(".cm-line").first.hover(position={"x": 30, "y": 5})
    nothing_lives(page)


@pytest.mark.browser
def test_nothing_of_a_saved_one_comes_alive_elsewhere(bot: Stage, page: Page) -> None:
    """In the catalogue, when it is opened again, and in the difference to what another saved meanwhile."""
    alice = Person(bot, ALICE)
    assert alice.send("save", text=HOSTILE, note=LIVE).status_code == 303
    base = bot.rt.settings.public_url
    for path in ("/studio/hostile", "/runbooks", f"/studio/hostile?saved={LIVE}"):
        page.goto(f"{base}{path}")
        nothing_lives(page)
    late = alice.send("save", "/studio/hostile", was=LIVE, text=HOSTILE.replace("7", "8"), note=SVG)
    assert late.status_code == 409
    page.set_content(late.text)
    nothing_lives(page)


BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x]\n" + "".join(f"k{n}: &k{n} [*a,*a,*a,*a,*a,*a]\n" for n in range(30)),
    "deep": "[" * 100_000,
    "binary": "\0\1\2\x7f\x85",
    "surrogates": "name: \ufffe\ud800",
    "mark": "\ufeffapiVersion: runbook/v1\r\nid: x\r\n",
    "tabs": "\tid: x\n" * 5_000,
    "keys": "k: 1\n" * 40_000,
    "numbers": "a: " + "9" * 250_000,
    "formula": f"a: {'{{ ' * 60_000}",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_hostile_text_is_a_problem_and_soon_told(bot: Stage, text: str) -> None:
    """Checked, saved, completed and explained; each without an accident."""
    alice = Person(bot, ALICE)
    sent = text.encode("utf-8", "replace").decode()
    began = time.monotonic()
    for do in ("check", "save"):
        answer = alice.send(do, text=sent)
        assert answer.status_code in (200, 422), answer.text[:500]
    assert alice.send("complete", text=sent, row="0", before="").status_code == 200
    assert alice.send("explain", text=sent, row="0", column="3").status_code == 200
    assert time.monotonic() - began < 10


def test_ten_megabytes_are_not_taken_in(bot: Stage) -> None:
    """The refusal is lost where the connection is closed while most of it is still on its way."""
    with suppress(httpx.RemoteProtocolError, httpx.WriteError):
        assert Person(bot, ALICE).send("check", text="x" * 10_000_000).status_code == 413
    assert Person(bot, ALICE).send("check", text="id: small").status_code == 200


def test_who_may_look_and_not_edit_saves_nothing_by_any_order(bot: Stage) -> None:
    """With the tag that is right, a token of their own, and an id that is there or not; nor for another's team."""
    text = HOSTILE.replace("hostile", "planted")
    for user in (CAROL, OSCAR):
        person = Person(bot, user)
        for path, said in (("/studio", text), ("/studio/drain", catalog.version(bot.rt, "drain").source)):
            for was in ("", "1-draft", "1-approved"):
                assert person.send("save", path, was=was, text=said).status_code in (403, 409)
    with pytest.raises(NotFound):
        catalog.get(bot.rt, "planted")
    assert catalog.get(bot.rt, "drain").current_number == 1
