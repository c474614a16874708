"""A run's form with choices of a living system, as a person fills it in: the practice page in a real browser."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright
from stage import CAROL, CHANNEL, Stage, ready_with, stage, wait_for
from test_option_menus import FORM, SERVICES, Inventory

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    found = Inventory()
    yield found
    found.server.close()


@pytest.fixture
def bot(tmp_path: Path, inventory: Inventory) -> Iterator[Stage]:
    with stage(tmp_path, socket_mode=False) as running:
        url = inventory.server.url().rstrip("/")
        opened = f"inventory: {{url: '{url}', allow_private: true}}"
        (running.rt.settings.runbooks_dir / "_targets.yaml").write_text(f"targets: {{{opened}}}")
        ready_with(running, {"pick": FORM})
        yield running


@pytest.fixture
def page(bot: Stage) -> Iterator[Page]:
    """Carol's page in the incident channel; an error in its console fails the test."""
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("REQUIRE_CHROMIUM") != "1", "there is no chromium on the PATH"
        pytest.skip("there is no chromium on the PATH")
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        opened.set_default_timeout(20_000)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(f"{bot.sim.url}/?user={CAROL}&channel={CHANNEL}")
        expect(opened.locator("#connection")).to_have_text("Live", timeout=20_000)
        yield opened
        browser.close()
    assert errors == []


def form(page: Page) -> Locator:
    page.fill("#composer-text", "/runbook run pick")
    page.press("#composer-text", "Enter")
    dialog = page.locator("#modal")
    expect(dialog).to_be_visible(timeout=20_000)
    return dialog


def field(dialog: Locator, label: str) -> Locator:
    return dialog.locator(".input-block").filter(has=dialog.page.locator(".label", has_text=label))


def choose(dialog: Locator, label: str, typed: str, *wanted: str) -> None:
    """Type into a menu's search, and choose what it finds."""
    menu = field(dialog, label)
    menu.locator("input[type=search]").fill(typed)
    for each in wanted:
        expect(menu.locator("option").filter(has_text=each).first).to_be_attached(timeout=20_000)
    menu.locator("select").select_option(label=list(wanted))


def test_a_living_choice_is_searched_and_run(bot: Stage, page: Page) -> None:
    dialog = form(page)
    choose(dialog, "service", "long", "Long one")
    choose(dialog, "service", "API", "The *API* ‹!channel›")
    choose(dialog, "hosts", "host-49", "host-490", "host-491")
    dialog.get_by_role("button", name="Run").click()
    expect(dialog).to_be_hidden(timeout=20_000)
    card = wait_for(lambda: bot.find(lambda each: "R-" in str(each) and "A runbook for pick" in str(each)))
    wait_for(lambda: "on api and 2" in "\n".join(bot.in_thread(card["ts"])))


def test_a_refused_choice_stands_beside_its_field(bot: Stage, page: Page, inventory: Inventory) -> None:
    """The form stays open with what else was filled in; another choice closes it and starts the run."""
    dialog = form(page)
    choose(dialog, "service", "API", "The *API* ‹!channel›")
    choose(dialog, "hosts", "host-7", "host-77")
    inventory.services = [each for each in SERVICES if each["id"] != "api"]
    time.sleep(1.05)
    dialog.get_by_role("button", name="Run").click()
    expect(field(dialog, "service").locator(".field-error")).to_contain_text("is not offered", timeout=20_000)
    expect(field(dialog, "hosts").locator(".field-error")).to_be_empty()
    expect(dialog).to_be_visible()
    assert not bot.find(lambda each: "A runbook for pick" in str(each))
    choose(dialog, "service", "long", "Long one")
    dialog.get_by_role("button", name="Run").click()
    expect(dialog).to_be_hidden(timeout=20_000)
    wait_for(lambda: bot.find(lambda each: "A runbook for pick" in str(each)))
