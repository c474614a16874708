"""A page of the bot in a browser, by the link that somebody was given."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page
from test_browser import PATIENCE_MS


def listened(context: BrowserContext, address: str) -> tuple[Page, list[str]]:
    """The page behind a link, and what the browser complains about; the link's pass is no longer in its address."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    assert "pass=" not in page.url
    return page, complaints
