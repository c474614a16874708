"""The page of a run in a real browser: live, by keyboard alone, in both colour schemes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import ALICE, CAROL, DAVE, Deployment, wait_for
from listening import listened
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_browser import PATIENCE_MS, browser  # noqa: F401 - a fixture
from test_incident import RESTART

pytestmark = pytest.mark.browser
RUNS = re.compile(r"R-\w{6}")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("page") / "bot") as running:
        running._extra["PUBLIC_URL"] = running.base
        running.runbook("restart", RESTART)
        running.up()
        running.approve_runbook("restart")
        yield running


def start(deployment: Deployment) -> None:
    """Start a run and wait until it waits at its gate, the newest in the channel."""
    before = set(RUNS.findall("\n".join(deployment.texts())))
    deployment.command(CAROL, 'run restart service=checkout force=yes reason="it hangs"')

    def waits() -> bool:
        cards = [text for text in deployment.texts() if "· Waiting for a decision" in text]
        return bool(set(RUNS.findall("\n".join(cards))) - before)

    wait_for(waits)


def opened(deployment: Deployment, context: BrowserContext) -> tuple[Page, list[str]]:
    """The page behind the newest card, by its button, and what the browser complains about."""
    deployment.click(ALICE, "run.page")
    address = re.findall(r"<(http[^|]+)\|", deployment.said(ALICE, "Open the page"))[0]
    return listened(context, address)


def test_a_run_is_watched_to_its_end(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    """The picture, the votes and the timeline change by themselves, and what is open stays open."""
    start(deployment)
    expect.set_options(timeout=PATIENCE_MS)
    page, complaints = opened(deployment, browser.new_context(color_scheme="light"))
    expect(page.locator("#head")).to_contain_text("Waiting for a decision")
    expect(page.locator("#picture .node.wait .words")).to_contain_text("waiting for approval")
    expect(page.locator("#gates")).to_contain_text("No vote yet")
    page.locator("#steps summary").first.click()
    for user in (ALICE, DAVE):
        deployment.click(user, "gate.approve")
    expect(page.locator("#head")).to_contain_text("Succeeded")
    expect(page.locator("#connection")).to_have_text("The run has ended.")
    expect(page.locator("#gates li")).to_have_count(2)
    expect(page.locator("#steps details").first).to_have_attribute("open", "")
    assert page.locator("#picture .node.good").count() == page.locator("#picture .node").count()
    assert page.locator("#timeline tbody tr").count() == page.locator("#steps details").count()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_both_schemes(browser: Browser, deployment: Deployment, tmp_path: Path, scheme: str) -> None:  # noqa: F811
    """By keyboard alone from the picture to what a step did; every word stands out from its ground; narrow too."""
    start(deployment)
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page, complaints = opened(deployment, context)
    expect(page.locator("#connection")).to_have_text("Live")
    page.locator("#picture svg a").first.focus()
    page.keyboard.press("Enter")
    first = page.locator("#steps details").first
    expect(first).to_have_attribute("open", "")
    expect(first.locator("summary")).to_be_focused()
    expect(first).to_contain_text("Request")
    page.keyboard.press("Enter")
    expect(first).not_to_have_attribute("open", "")
    assert page.evaluate("getComputedStyle(document.querySelector('.node rect')).animationName") == "none"
    assert page.evaluate(_FAINTEST) >= 4.5
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="Runbooks").click()
    expect(page.locator("h1")).to_have_text("Runbooks")
    expect(page.locator(".runbook")).to_contain_text("service")
    assert complaints == []
    context.close()


_FAINTEST = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const shade = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const rect = at.localName === "g" && at.querySelector("rect");
      const painted = rect ? getComputedStyle(rect).fill : getComputedStyle(at).backgroundColor;
      const color = parse(painted.replace("none", "rgba(0,0,0,0)"));
      if (color[3] === undefined || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const words = [...document.querySelectorAll("main *")].filter((each) => each.checkVisibility()
    && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...words.map((each) => {
    const style = getComputedStyle(each);
    const ink = shade(parse(each instanceof SVGElement ? style.fill : style.color));
    const under = shade(ground(each));
    return (Math.max(ink, under) + .05) / (Math.min(ink, under) + .05);
  }));
}"""
"""The least contrast of any words on the page, as WCAG counts it."""
