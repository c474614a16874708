"""The page of a run: who gets in, by what, and that nothing on it is alive or secret."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from stage import ALICE, CAROL, GUEST, Stage, ready, shown, stage, wait_for

from bot.page.signed_links import Pass, Purpose, sign
from engine.config.settings import secret_key

HOSTILE = "</pre><script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("pages"), socket_mode=False, pages=True) as running:
        ready(running)
        yield running


@pytest.fixture(scope="module")
def run(bot: Stage) -> str:
    """A run that has ended."""
    run = bot.start(f'run drain service=checkout grace=7 reason="{HOSTILE}"')
    wait_for(lambda: "Succeeded" in shown(bot.card(run)))
    return run


@pytest.fixture
def browser(bot: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=str(bot.rt.settings.public_url), trust_env=False, follow_redirects=True) as client:
        yield client


def link(bot: Stage, run: str, user: str = CAROL) -> str:
    """Press the card's button and take the address that this person alone is shown."""
    before = len(bot.private(user))
    bot.click("run.page", user, bot.card(run)["ts"])
    told = shown(wait_for(lambda: bot.private(user)[before:])[0])
    found = re.search(r"<(http[^|]+)\|", told)
    assert found, told
    return found[1]


def cookie(bot: Stage, user: str, until: int | None = None) -> dict[str, str]:
    admitted = Pass(user, "R-1", until or int(time.time()) + 60)
    return {"Cookie": f"runbook_page={sign(secret_key(bot.rt.settings), Purpose.COOKIE, admitted)}"}


def test_the_cards_button_leads_to_the_page(bot: Stage, run: str, browser: httpx.Client) -> None:
    """The link becomes a cookie at once, and the address that stays has no proof in it."""
    page = browser.get(link(bot, run))
    assert page.status_code == 200
    assert str(page.url).endswith(f"/executions/{run}")
    (swap,) = page.history
    assert {"httponly", "samesite=lax"} <= set(swap.headers["set-cookie"].lower().replace(";", "").split())
    assert "Succeeded" in page.text
    assert "Take it out" in page.text
    assert browser.get("/runbooks").text.count('class="runbook"') == 2


def test_runs_and_runbooks_are_found_and_turned(
    bot: Stage, run: str, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what they are; a part at a time; nothing that is typed comes alive."""

    def page(address: str) -> str:
        return browser.get(address, headers=cookie(bot, CAROL)).text

    assert f'href="/executions/{run}"' in page("/executions?runbook=drain&status=success&mine=yes")
    assert "No run fits." in page("/executions?status=open&runbook=drain")
    assert browser.get("/executions?cursor=nonsense", headers=cookie(bot, CAROL)).status_code == 409
    assert browser.get("/executions", headers=cookie(bot, GUEST)).status_code == 403
    assert 'class="runbook" id="drain"' in page("/runbooks?text=service&status=approved")
    assert "No runbook fits." in page(f"/runbooks?text={HOSTILE}")
    assert "<script>alert" not in page(f"/runbooks?text={HOSTILE}&tag={HOSTILE}")
    monkeypatch.setattr("bot.page.catalogue.PAGE", 1)
    first, last = page("/runbooks?page=0"), page("/runbooks?page=99")
    assert 'href="/runbooks?&amp;page=2"' in first
    assert 'id="careful"' in first
    assert 'id="drain"' in last
    monkeypatch.setattr("bot.page.runs.PAGE", 1)
    second = bot.start("run drain service=basket")
    wait_for(lambda: "Succeeded" in shown(bot.card(second)))
    older = re.search(r'href="(/executions\?[^"]*cursor=[^"]+)"', page("/executions?status=success"))
    assert older, "there is an older one"
    assert run in page(older[1].replace("&amp;", "&"))


def test_the_keyboard_reaches_what_scrolls(bot: Stage, run: str, browser: httpx.Client) -> None:
    """The list of what happened takes the focus and has a name."""
    page = browser.get(f"/executions/{run}", headers=cookie(bot, CAROL)).text
    (listing,) = re.findall(r'<ol class="events"[^>]*>', page)
    assert 'tabindex="0"' in listing
    assert "aria-label=" in listing


def test_what_people_and_machines_wrote_is_text(bot: Stage, run: str, browser: httpx.Client) -> None:
    """It stands on the page as it was written, and no browser takes it for anything else."""
    page = browser.get(f"/executions/{run}", headers=cookie(bot, CAROL)).text
    assert "<script>alert" not in page
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"<[^>]+\s(on\w+|style)=", page)


def test_requests_and_responses_are_shown_without_their_secrets(bot: Stage, run: str, browser: httpx.Client) -> None:
    """The call, its key, its body and its answer; of what proves who calls only that there was something."""
    page = browser.get(f"/executions/{run}", headers=cookie(bot, CAROL)).text
    assert "/lb/drain/checkout" in page
    assert "Idempotency-Key" in page
    assert "‹masked›" in page
    assert str(bot.sim.config.target_token) not in page


@pytest.mark.parametrize("path", ["/executions/R-NOSUCH", "/runbooks", "/executions/R-NOSUCH/events"])
def test_nobody_gets_in_without_a_proof(bot: Stage, browser: httpx.Client, path: str) -> None:
    """401 whether or not the run is there; an expired or made up cookie proves nothing."""
    for headers in ({}, cookie(bot, CAROL, until=1), {"Cookie": "runbook_page=made.up"}):
        answer = browser.get(path, headers=headers)
        assert answer.status_code == 401
        assert "who you are" in answer.text


def test_a_link_opens_its_own_run_until_it_expires(bot: Stage, run: str, browser: httpx.Client) -> None:
    """Not another's, not later, and a cookie's proof is no link's."""
    key = secret_key(bot.rt.settings)
    soon = int(time.time()) + 60
    wrong = [
        sign(key, Purpose.LINK, Pass(CAROL, "R-2222", soon)),
        sign(key, Purpose.LINK, Pass(CAROL, run, 1)),
        sign(key, Purpose.COOKIE, Pass(CAROL, run, soon)),
        "made.up",
        "",
    ]
    for proof in wrong:
        answer = browser.get(f"/executions/{run}", params={"pass": proof})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_who_may_not_look_sees_nothing(bot: Stage, run: str, browser: httpx.Client) -> None:
    """The cookie says who it is; what they may do is asked anew each time."""
    answer = browser.get(f"/executions/{run}", headers=cookie(bot, GUEST))
    assert answer.status_code == 403
    assert "Guests" in answer.text
    assert browser.get("/runbooks", headers=cookie(bot, GUEST)).status_code == 403


def test_a_run_that_is_not_there_is_404(bot: Stage, browser: httpx.Client) -> None:
    """With the sentence that every door says."""
    answer = browser.get("/executions/R-NOSUCH", headers=cookie(bot, CAROL))
    assert answer.status_code == 404
    assert "There is no run" in answer.text


@pytest.mark.parametrize(
    "path", ["/executions/{run}", "/runbooks", "/page/live.js", "/page/style.css", "/executions/X"]
)
def test_every_answer_is_under_the_strict_policy(bot: Stage, run: str, browser: httpx.Client, path: str) -> None:
    """Nothing inline, nothing from elsewhere, in nobody's frame."""
    answer = browser.get(path.format(run=run), headers=cookie(bot, CAROL))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_stream_says_that_something_happened_and_ends_with_the_run(bot: Stage, browser: httpx.Client) -> None:
    """A run that waits at its gate is told of once; its cancel is, and then the end."""
    run = bot.start('run careful reason="look"', CAROL)
    wait_for(lambda: "Waiting" in shown(bot.card(run)))
    seen: list[str] = []
    with browser.stream("GET", f"/executions/{run}/events", headers=cookie(bot, CAROL), timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data") and len(seen) == 1:
                bot.say(f"cancel {run}", ALICE)
            seen += [line] if line else []
    assert seen[-2:] == ["event: end", "data: ended"]
    assert sum(line.startswith("id: ") for line in seen) >= 2
