"""The whole product through a browser: the real bot behind the practice workspace's page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import ALICE, CAROL, CHANNEL, DAVE, Deployment
from playwright.sync_api import Browser, Page, expect, sync_playwright
from test_incident import ONCE, RESTART

pytestmark = pytest.mark.browser

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("REQUIRE_CHROMIUM") != "1", "there is no chromium on the PATH"
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=[*QUIET, "--disable-sync", "--no-first-run"]
        )
        yield running
        running.close()


def send(page: Page, text: str) -> None:
    page.fill("#composer-text", text)
    page.press("#composer-text", "Enter")


def act_as(page: Page, user: str, role: str) -> None:
    page.select_option("#acting-as", user)
    expect(page.locator("#acting-role")).to_contain_text(role)
    expect(page.locator("#connection")).to_have_text("Live")


def confirmed(page: Page, name: str) -> None:
    """Click the newest button of this name, and whatever asks whether that was meant."""
    page.locator("#messages").get_by_role("button", name=name).last.click()
    dialog = page.locator("#confirm[open]")
    if dialog.count():
        dialog.get_by_role("button").last.click()


def test_an_incident_clicked_through(browser: Browser, tmp_path: Path) -> None:
    """Approve the runbook, fill in the form, decide the gate as two people, and read the end on the card."""
    with Deployment(tmp_path / "bot") as deployment:
        deployment.runbook("restart", RESTART)
        deployment.up()
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.goto(f"{deployment.slack.url}/?user={ALICE}&channel={CHANNEL}")
        send(page, "/runbook admin approve restart")
        expect(page.locator("#messages")).to_contain_text("waits for approval")
        confirmed(page, "Approve")
        expect(page.locator("#messages")).to_contain_text("is approved by")

        act_as(page, CAROL, "Responder")
        send(page, "/runbook run restart")
        modal = page.locator("#modal")
        expect(modal).to_contain_text("service")
        modal.locator("select").select_option("checkout")
        modal.locator("textarea").fill("checkout <b>hangs</b> & <!channel>")
        modal.get_by_role("button", name="Run").click()
        card = page.locator("#messages")
        expect(card).to_contain_text("Waiting for a decision")
        expect(card).to_contain_text("checkout <b>hangs</b> & <!channel>")

        for user in (ALICE, DAVE):
            act_as(page, user, "Platform admin")
            confirmed(page, "Approve")
            expect(page.locator("#messages")).to_contain_text("You approved")
        expect(page.locator("#messages")).to_contain_text("Succeeded")
        expect(page.locator("#messages").get_by_role("button", name="Approve")).to_have_count(0)
        page.screenshot(path=tmp_path / "finished.png")
        assert deployment.effects() == ONCE
        assert deployment.problems() == []
