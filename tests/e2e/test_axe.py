"""What axe finds on every page, wide and as narrow as a phone: nothing serious."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from deployment import ALICE, CAROL, CHANNEL, Deployment
from playwright.sync_api import Browser, Page, expect
from test_browser import PATIENCE_MS, browser, send  # noqa: F401 - a fixture
from test_page import deployment, opened, start  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 400, "height": 800}
SERIOUS = {"serious", "critical"}


def practice(page: Page, running: Deployment) -> None:
    """The practice workspace with a form open."""
    page.goto(f"{running.slack.url}/?user={CAROL}&channel={CHANNEL}")
    expect(page.locator("#messages")).to_contain_text("Waiting for a decision")
    send(page, "/runbook run restart")
    expect(page.locator("#modal")).to_be_visible()


def practice_thread(page: Page, running: Deployment) -> None:
    page.goto(f"{running.slack.url}/?user={ALICE}&channel={CHANNEL}")
    page.locator("#messages .thread-line:not(.when-hovered)").last.click()
    expect(page.locator("#thread")).to_contain_text("Waiting for approval")


def practice_home(page: Page, running: Deployment) -> None:
    page.goto(f"{running.slack.url}/?user={ALICE}&channel={CHANNEL}")
    if page.locator("#menu-toggle").is_visible():
        page.locator("#menu-toggle").click()
    page.get_by_role("button", name="Runbook Bot").first.click()
    expect(page.locator("#home")).to_contain_text("Waiting for you")


PRACTICE: list[Callable[[Page, Deployment], None]] = [practice, practice_thread, practice_home]


def found(page: Page) -> list[str]:
    """What a person with a keyboard, a screen reader or weak eyes would stumble over."""
    told = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']} at {[node['target'] for node in each['nodes'][:5]]}"
        for each in told
        if each["impact"] in SERIOUS
    ]


def fits(page: Page, width: int) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth") <= width)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("show", PRACTICE)
def test_the_practice_page(
    browser: Browser,  # noqa: F811
    deployment: Deployment,  # noqa: F811
    size: dict[str, int],
    show: Callable[[Page, Deployment], None],
    tmp_path: Path,
) -> None:
    start(deployment)
    expect.set_options(timeout=PATIENCE_MS)
    page = browser.new_page(viewport=size)  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE_MS)
    show(page, deployment)
    assert found(page) == []
    assert fits(page, size["width"])
    page.screenshot(path=tmp_path / f"{show.__name__}-{size['width']}.png")
    if page.locator("#modal[open]").count():  # it would stand there again for who looks next
        page.locator("#modal").get_by_role("button", name="Close").first.click()
        expect(page.locator("#modal")).to_be_hidden()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_runs(browser: Browser, deployment: Deployment, scheme: str) -> None:  # noqa: F811
    """A run with a step open, and every page that the menu leads to."""
    start(deployment)
    expect.set_options(timeout=PATIENCE_MS)
    page, _ = opened(deployment, browser.new_context(color_scheme=scheme, viewport=PHONE))  # type: ignore[arg-type]
    expect(page.locator("#connection")).to_have_text("Live")
    page.locator("#steps summary").first.click()
    assert found(page) == []
    for name in ("Runbooks", "Runs", "Freezes", "Secrets", "Audit"):
        page.get_by_role("link", name=name, exact=True).first.click()
        expect(page.locator("h1")).to_have_text(name)
        assert found(page) == []
        assert fits(page, PHONE["width"])
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_plan(browser: Browser, deployment: Deployment, scheme: str) -> None:  # noqa: F811
    """By the link of its message; nothing on it is cut off, and nothing is too faint."""
    expect.set_options(timeout=PATIENCE_MS)
    deployment.command(CAROL, "plan restart service=checkout reason=slow")
    deployment.said(CAROL, "would do")
    address = re.findall(r"<(http[^|>]+/plans/[^|>]+)\|", str(deployment.messages(CAROL)))[-1]
    context = browser.new_context(color_scheme=scheme, viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    expect(page.locator("h1")).to_have_text("What it would do")
    expect(page.locator("#main svg .words").first).to_contain_text("would be done")
    assert page.locator("#main pre").inner_text().startswith("Plan P")
    assert found(page) == []
    assert fits(page, PHONE["width"])
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_studio_by_keyboard_alone(browser: Browser, deployment: Deployment, scheme: str, tmp_path: Path) -> None:  # noqa: F811
    """As narrow as it gets: a mistake in the text, then one in the cases, then a rehearsal."""
    start(deployment)
    expect.set_options(timeout=PATIENCE_MS)
    size = {"width": 320, "height": 700}
    page, _ = opened(deployment, browser.new_context(color_scheme=scheme, viewport=size))  # type: ignore[arg-type]
    page.goto(f"{deployment.base}/studio")
    expect(page.locator("#editor .cm-content")).to_be_visible()
    assert found(page) == []
    assert fits(page, size["width"])
    _tab_to(page, "editor")
    page.keyboard.press("Control+End")
    page.keyboard.type("ris: high")
    expect(page.locator("#problems")).to_contain_text("did you mean `risk`")
    expect(page.locator("#rehearsal-problems")).to_contain_text("as soon as")
    assert found(page) == []
    page.screenshot(path=tmp_path / f"studio-{scheme}.png", full_page=True)
    page.keyboard.press("Control+z")
    expect(page.locator("#problems")).to_contain_text("Nothing is wrong.")
    _tab_to(page, "rehearsal-editor")
    page.keyboard.press("Control+End")
    page.keyboard.type("    tags: []")
    expect(page.locator("#rehearsal-problems li")).to_contain_text("tags")
    assert found(page) == []
    assert fits(page, size["width"])
    page.keyboard.press("Control+z")
    expect(page.locator("#rehearsal-problems li")).to_have_count(0)
    _tab_to(page, "rehearse")
    page.keyboard.press("Enter")
    expect(page.locator("#walk h3")).to_contain_text("It goes well")
    assert found(page) == []
    assert fits(page, size["width"])
    page.context.close()


def _tab_to(page: Page, wanted: str) -> None:
    """Go on by Tab, out of editors by Esc first, to an element by its id or a button's value."""
    for _ in range(60):
        if page.evaluate("document.activeElement.id || document.activeElement.value") == wanted:
            return
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {wanted}.")
