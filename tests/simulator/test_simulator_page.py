"""The page in a real browser: typing, clicking, forms, live updates."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from practice import ALICE, BOB, BUTTONS, CAROL, CHANNEL, Bot, bot_by_http

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("REQUIRE_CHROMIUM") != "1", "there is no chromium on the PATH"
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def practice() -> Iterator[Bot]:
    with bot_by_http() as bot:
        yield bot


@pytest.fixture
def page(browser: Browser, practice: Bot) -> Iterator[Page]:
    """Carol's page in the incident channel; an error in its console fails the test."""
    opened = browser.new_page(viewport={"width": 1300, "height": 850})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    visit(opened, practice, CAROL)
    yield opened
    opened.close()
    assert errors == []


def visit(page: Page, practice: Bot, user: str) -> None:
    page.goto(f"{practice.hands.sim.url}/?user={user}&channel={CHANNEL}")
    expect(page.locator("#connection")).to_have_text("Live")


def send(page: Page, text: str) -> None:
    page.fill("#composer-text", text)
    page.press("#composer-text", "Enter")


def test_a_command_is_answered_only_to_its_person(page: Page, practice: Bot) -> None:
    """A typed command's answer appears with its mark, and is gone when acting as someone else."""
    send(page, "/runbook ping")
    answer = page.locator("#messages .ephemeral").last
    expect(answer).to_contain_text("pong")
    expect(answer).to_contain_text("Only visible to you")
    page.select_option("#acting-as", BOB)
    expect(page.locator("#acting-role")).to_have_text("Admin of team payments")
    expect(page.locator("#messages .ephemeral")).to_have_count(0)


def test_a_form_is_filled_in_and_refused_by_field(page: Page, practice: Bot) -> None:
    """A modal shows each field's error beside it, keeps what was typed, and closes when it is right."""
    send(page, "/runbook form")
    dialog = page.locator("#modal")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Grace").fill("12")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.locator(".field-error").first).to_have_text("Please complete this required field.")
    dialog.get_by_label("Service").select_option("web")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.locator(".field-error").first).to_have_text("web is frozen")
    expect(dialog.get_by_label("Grace")).to_have_value("12")
    dialog.get_by_label("Service").select_option("api")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog).not_to_be_visible()


def test_escape_closes_a_form(page: Page, practice: Bot) -> None:
    """The keyboard closes a modal, for the workspace too."""
    send(page, "/runbook form")
    expect(page.locator("#modal")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#modal")).not_to_be_visible()
    assert practice.hands.get("views", user=CAROL) == []


def test_buttons_are_live_and_confirmed(page: Page, practice: Bot) -> None:
    """A card appears without reloading, hides what is not for this person, and changes when clicked."""
    send(page, "/runbook card")
    card = page.locator("#messages .message", has=page.locator(".block-actions")).last
    expect(card.get_by_role("button", name="Pause")).to_be_visible()
    expect(card.get_by_role("button", name="Approve")).to_have_count(0)
    card.get_by_role("button", name="Pause").click()
    expect(page.locator("#messages .message").last).to_contain_text("Paused")


def test_a_confirmation_can_be_declined(page: Page, practice: Bot) -> None:
    """A button with a confirm dialog sends nothing until it is confirmed."""
    say = {"type": "plain_text", "text": "Sure?"}
    button = {**BUTTONS[1]["elements"][0], "action_id": "run.sure", "confirm": dict.fromkeys(("title", "text"), say)}
    button["confirm"] |= {
        "confirm": {"type": "plain_text", "text": "Yes"},
        "deny": {"type": "plain_text", "text": "No"},
    }
    practice.hands.client().chat_postMessage(
        channel=CHANNEL, text="sure", blocks=[{"type": "actions", "elements": [button]}]
    )
    clicks = len([each for each in practice.heard if each.get("type") == "block_actions"])
    page.locator("#messages .message").last.get_by_role("button", name="Pause").click()
    page.locator("#confirm").get_by_role("button", name="No").click()
    expect(page.locator("#confirm")).not_to_be_visible()
    assert len([each for each in practice.heard if each.get("type") == "block_actions"]) == clicks


def test_text_is_never_html(page: Page, practice: Bot) -> None:
    """What people and bots write is shown as written, with references by name and only safe links."""
    text = "<b>bold</b> <img src=x onerror=alert(1)> *strong* `code` @bob"
    practice.hands.post("say", user=ALICE, channel=CHANNEL, text=text)
    practice.hands.client().chat_postMessage(channel=CHANNEL, text="<javascript:alert(1)|click> <https://e.com|safe>")
    said, posted = page.locator("#messages .message").nth(-2), page.locator("#messages .message").last
    expect(said).to_contain_text("<b>bold</b> <img src=x onerror=alert(1)>")
    expect(said.locator("strong", has_text="strong")).to_be_visible()
    expect(said.locator(".mention")).to_have_text("@Bob Berger")
    expect(posted.locator("a")).to_have_count(1)
    expect(posted.locator("a")).to_have_attribute("href", "https://e.com")


def test_a_plan_shows_icons_and_words(page: Page, practice: Bot) -> None:
    """Each task of a plan says its state in words, and a change is seen without reloading."""
    client = practice.hands.client()

    def plan(status: str) -> list[dict[str, object]]:
        return [{"type": "plan", "title": "Run", "tasks": [{"task_id": "a", "title": "drain", "status": status}]}]

    ts = client.chat_postMessage(channel=CHANNEL, text="r", blocks=plan("in_progress"))["ts"]
    task = page.locator("#messages .task").last
    expect(task).to_contain_text("In progress")
    client.chat_update(channel=CHANNEL, ts=ts, text="r", blocks=plan("complete"))
    expect(page.locator("#messages .task").last).to_contain_text("Done")


def test_threads_open_beside_and_take_mentions(page: Page, practice: Bot) -> None:
    """A reply in the thread panel reaches the bot, whose answer appears there; commands are refused with a reason."""
    send(page, "@runbook hello")
    line = page.locator("#messages .message").last.get_by_role("button", name="1 reply")
    line.click()
    expect(page.locator("#replies .message")).to_have_count(2)
    page.fill("#thread-text", "/runbook status")
    page.press("#thread-text", "Enter")
    expect(page.locator("#notices")).to_contain_text("does not work in threads")
    page.fill("#thread-text", "thanks")
    page.press("#thread-text", "Enter")
    expect(page.locator("#replies .message")).to_have_count(3)


def test_the_command_is_suggested_and_chosen_by_keyboard(page: Page, practice: Bot) -> None:
    """Typing a slash offers the bot's commands, and the keyboard picks one."""
    page.locator("#composer-text").press_sequentially("/run")
    expect(page.locator("#composer .suggestions li").first).to_contain_text("/runbook help")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#composer-text")).to_have_value("/runbook help ")


def test_the_home_tab_is_shown(page: Page, practice: Bot) -> None:
    """Opening the app shows the Home tab it publishes."""
    page.get_by_role("button", name="Runbook Bot").click()
    expect(page.locator("#home")).to_contain_text("Run 7 waits")
    page.get_by_role("button", name="Messages", exact=True).click()
    expect(page.locator("#composer-text")).to_be_visible()


def test_what_is_typed_stays_when_the_person_changes(page: Page, practice: Bot) -> None:
    """The box is drawn anew for whoever acts; what stands in it is not lost."""
    visit(page, practice, ALICE)
    page.fill("#composer-text", "/runbook status")
    page.select_option("#acting-as", CAROL)
    expect(page.locator("#acting-role")).to_contain_text("Responder")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#composer-text")).to_have_value("/runbook status")
