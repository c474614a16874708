"""The whole product through a browser: the real bot behind the practice workspace's page."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import ALICE, CAROL, CHANNEL, DAVE, Deployment
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from test_incident import ONCE, RESTART

pytestmark = pytest.mark.browser

FRAGILE = """
apiVersion: runbook/v1
id: fragile
name: Restart a fragile host
description: Restarts it once; whether that took effect nobody may be able to say.
team: payments
tags: [restart]
parameters:
  type: object
  properties:
    service: {type: string, enum: [checkout, basket], default: checkout, title: Service}
steps:
  - {id: restart, type: http, timeout: 2s, with: {method: POST, url: "TARGET/hosts/restart/{{ params.service }}"}}
  - id: ask
    type: approval
    with: {approvers: {roles: [platform_admin]}, message: "Send traffic to {{ params.service }} again?"}
  - {id: tell, type: message, with: {text: "{{ params.service }} takes traffic again."}}
"""
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
    """Open the page anew as somebody else: what was drawn for the one before can't be clicked."""
    page.goto(re.sub(r"user=\w+", f"user={user}", page.url))
    expect(page.locator("#acting-as")).to_have_value(user)
    expect(page.locator("#acting-role")).to_contain_text(role)
    expect(page.locator("#connection")).to_have_text("Live")


def confirmed(page: Page, name: str, where: str = "#messages") -> None:
    """Click the newest button of this name, and whatever asks whether that was meant."""
    page.locator(where).get_by_role("button", name=name).last.click()
    dialog = page.locator("#confirm[open]")
    if dialog.count():
        dialog.get_by_role("button").last.click()


def card(page: Page, words: str) -> Locator:
    """The newest card, once it says so."""
    found = page.locator("#messages .message").filter(has_text="started by").last
    expect(found).to_contain_text(words)
    return found


def answered(page: Page, modal: Locator, text: str, button: str) -> None:
    """Fill in the reason a form asks for, and send it off."""
    expect(modal).to_be_visible()
    modal.locator("textarea").last.fill(text)
    modal.get_by_role("button", name=button, exact=True).click()
    expect(modal).to_be_hidden()


class Camera:
    """Keeps a picture of each thing worth looking at, where SCREENSHOTS says, else with the test's own files."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = Path(os.environ.get("SCREENSHOTS") or folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> None:
        self._page.screenshot(path=self._folder / f"{name}.png")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1440, "height": 900})
    found.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield found
    found.close()


def test_an_incident_clicked_through(page: Page, tmp_path: Path) -> None:
    """Approve the runbook, fill in the form, decide the gate as two people, and read the end on card and thread."""
    camera = Camera(page, tmp_path)
    with Deployment(tmp_path / "bot") as deployment:
        deployment.runbook("restart", RESTART)
        deployment.up()
        page.goto(f"{deployment.slack.url}/?user={ALICE}&channel={CHANNEL}")
        send(page, "/runbook admin approve restart")
        expect(page.locator("#messages")).to_contain_text("waits for approval")
        camera.take("01-admin-approve")
        confirmed(page, "Approve")
        expect(page.locator("#messages")).to_contain_text("is approved by")

        act_as(page, CAROL, "Responder")
        send(page, "/runbook run restart")
        modal = page.locator("#modal")
        expect(modal).to_contain_text("service")
        modal.locator("select").select_option("checkout")
        modal.locator("textarea").fill("checkout <b>hangs</b> & <!channel>")
        camera.take("02-form")
        modal.get_by_role("button", name="Run").click()
        shown = card(page, "Waiting for a decision")
        expect(shown).to_contain_text("checkout <b>hangs</b> & <!channel>")
        camera.take("03-card-at-the-gate")

        for user in (ALICE, DAVE):
            act_as(page, user, "Platform admin")
            confirmed(page, "Approve")
            expect(page.locator("#messages")).to_contain_text("You approved")
        expect(page.locator("#messages")).to_contain_text("Succeeded")
        expect(page.locator("#messages").get_by_role("button", name="Approve")).to_have_count(0)
        card(page, "Succeeded").locator(".thread-line").first.click()
        thread = page.locator("#thread")
        expect(thread).to_contain_text("Succeeded after")
        camera.take("04-thread-with-summary")
        assert deployment.effects() == ONCE
        assert deployment.problems() == []


@pytest.mark.slow
def test_what_goes_wrong_is_put_right_by_clicks(page: Page, tmp_path: Path) -> None:
    """A failed step retried, an unknown outcome resolved, a run cancelled and one replayed; Home and shortcuts."""
    camera = Camera(page, tmp_path)
    with Deployment(tmp_path / "bot", mode="http") as deployment:
        deployment.runbook("fragile", FRAGILE)
        deployment.up()
        deployment.approve_runbook("fragile")
        deployment.slow("/hosts/restart/checkout", 0, status=500)
        page.goto(f"{deployment.slack.url}/?user={CAROL}&channel={CHANNEL}")

        run_by_shortcut(page, camera)
        modal = page.locator("#modal")
        failed = card(page, "Failed")
        expect(failed).to_contain_text("500")
        camera.take("07-card-failed")
        deployment.slow("/hosts/restart/checkout", 4_000)
        confirmed(page, "Retry")
        unknown = card(page, "outcome unknown")
        camera.take("08-card-unknown")
        unknown.get_by_role("button", name="It worked").click()
        answered(page, modal, "uptime is one minute", "Confirm")
        card(page, "Waiting for a decision")
        confirmed(page, "Cancel the run")
        cancelled = card(page, "Cancelled")
        camera.take("09-card-cancelled")
        run = cancelled.inner_text().split("R-")[1][:6]
        send(page, f"/runbook replay R-{run} from=ask reason=again")
        expect(page.locator("#messages")).to_contain_text("once more")
        card(page, "Waiting for a decision")

        approve_on_home(page, camera)
        card(page, "Succeeded")
        camera.take("12-replayed")
        assert deployment.problems() == []


def run_by_shortcut(page: Page, camera: Camera) -> None:
    """Find the runbook in the shortcut's form and run it in the incident's channel."""
    modal = page.locator("#modal")
    page.get_by_role("button", name="Run a runbook", exact=False).first.click()
    expect(modal).to_contain_text("Runbook")
    modal.locator("input[type=search]").fill("fragile")
    expect(modal.locator("select option")).to_have_count(2)
    modal.locator("select").select_option("fragile")
    camera.take("05-shortcut")
    modal.get_by_role("button", name="Next").click()
    expect(modal).to_contain_text("Its card is shown there")
    modal.locator("select").last.select_option(CHANNEL)
    camera.take("06-form-from-a-shortcut")
    modal.get_by_role("button", name="Run", exact=True).click()


def approve_on_home(page: Page, camera: Camera) -> None:
    """Another person finds the gate on the app's home, and approves it there."""
    modal = page.locator("#modal")
    act_as(page, ALICE, "Platform admin")
    page.get_by_role("button", name="Runbook Bot").click()
    home = page.locator("#home")
    expect(home).to_contain_text("Waiting for you")
    expect(home.get_by_role("button", name="Review")).to_have_count(1)
    camera.take("10-home")
    home.get_by_role("button", name="Review").click()
    expect(modal).to_contain_text("What happens next")
    camera.take("11-review-a-gate")
    modal.get_by_role("button", name="Approve").click()
    expect(modal).to_contain_text("Approved")
    modal.get_by_role("button", name="Close").last.click()
    page.locator("#channels").get_by_role("button", name="inc-4711").click()
