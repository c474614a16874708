"""The studio in a real browser: typing, completing, saving, a conflict, a rehearsal, and who may not save."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from deployment import ALICE, BOB, CAROL, Deployment
from listening import listened
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_browser import PATIENCE_MS, browser  # noqa: F401 - a fixture
from test_incident import RESTART

pytestmark = pytest.mark.browser

REHEARSAL = """
cases:
  - name: It goes well
    parameters: {service: checkout}
    stubs: {drain: {json: {}}, restart: {json: {}}, restore: {json: {}}, healthy: {json: {ok: true}}}
    answers: {sign-off: {approve: [U0ALICE01, U0DAVE001]}}
    expect: {outcome: SUCCESS}
"""
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("studio") / "bot") as running:
        running._extra["PUBLIC_URL"] = running.base
        running.runbook("restart", RESTART)
        (running.runbooks / "restart.rehearsal.yaml").write_text(REHEARSAL)
        running.up()
        expect.set_options(timeout=PATIENCE_MS)
        yield running


def studio(deployment: Deployment, context: BrowserContext, user: str, slug: str = "") -> tuple[Page, list[str]]:
    """The studio by the link that this person is given, and what the browser complains about."""
    before = len(deployment.texts(user))
    deployment.command(user, f"studio {slug}".strip())
    told = deployment.said(user, f"Open {slug} in the studio" if slug else "new runbook in the studio")
    assert len(deployment.texts(user)) >= before
    address = re.findall(r"<(http[^|]+)\|", told)[-1]
    return listened(context, address)


def write(page: Page, text: str, editor: str = "editor") -> None:
    """Put a text into the editor as if it were pasted."""
    page.locator(f"#{editor} .cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def runbook(slug: str, said: str = "Done.", team: str = "payments") -> str:
    return (
        f"apiVersion: runbook/v1\nid: {slug}\nname: Written here\ndescription: It says something.\nteam: {team}\n"
        "parameters:\n  type: object\n  required: [service]\n"
        "  properties:\n    service: {type: string, title: Service}\n"
        f'steps:\n  - id: tell\n    type: message\n    with: {{text: "{said} {{{{ params.service }}}}"}}\n'
    )


def test_a_mistake_is_told_at_its_line_and_a_key_is_completed(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page, complaints = studio(deployment, context, BOB)
    expect(page.locator("#problems")).to_contain_text("Nothing is wrong.")
    expect(page.locator("#picture .name")).to_have_text(["tell"])
    expect(page.locator("#form")).to_contain_text("Service")
    write(page, runbook("mistaken").replace("steps:\n", "stepz:\n"))
    problem = page.locator("#problems li", has_text="stepz")
    expect(problem).to_contain_text("Line 11, column 1")
    problem.get_by_role("link").click()
    assert page.evaluate("document.activeElement.id") == "editor"
    expect(page.locator(".cm-lint-marker-error").first).to_be_visible()
    write(page, runbook("mistaken") + "ri")
    page.keyboard.press("Control+ ")
    option = page.locator(".cm-tooltip-autocomplete li[aria-selected]")
    expect(option).to_contain_text("risk")
    page.wait_for_timeout(200)  # a key that comes with the list itself does not choose from it
    page.keyboard.press("Enter")
    page.keyboard.press("Control+ ")
    expect(page.locator(".cm-tooltip-autocomplete li").nth(2)).to_contain_text("high")
    page.keyboard.type("hi")
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value(re.compile(r"risk: high$"))
    expect(page.locator("#form")).to_contain_text("Reason")
    page.locator(".cm-line", has_text="team:").hover(position={"x": 12, "y": 5})
    expect(page.locator(".cm-meaning")).to_contain_text("_access.yaml")
    assert complaints == []
    context.close()


def test_a_draft_is_saved_and_whoever_saves_second_is_told(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    """Nothing is lost: the second text stays, with what it would change, and can be saved on top."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page, complaints = studio(deployment, context, BOB)
    write(page, runbook("written"))
    page.keyboard.press("Control+s")
    page.wait_for_url("**/studio/written?saved=1")
    expect(page.locator("#told")).to_contain_text("Saved as version 1, a draft")
    other = context.new_page()
    other.goto(f"{deployment.base}/studio/written")
    write(other, runbook("written", "The other's."))
    other.get_by_role("button", name="Save a draft").click()
    other.wait_for_url("**/studio/written?saved=2")
    write(page, runbook("written", "Mine."))
    page.get_by_role("button", name="Save a draft").click()
    expect(page.locator("#told")).to_contain_text("was changed since you looked")
    expect(page.locator("#difference .added", has_text="Mine.")).to_have_count(1)
    expect(page.locator("#difference .removed", has_text="The other's.")).to_have_count(1)
    expect(page.locator("#text")).to_have_value(re.compile(r"Mine\."))
    page.reload()
    expect(page.locator("#kept")).to_be_visible()
    expect(page.locator("#text")).to_have_value(re.compile(r"Mine\."))
    page.get_by_role("button", name="Save a draft").click()
    page.wait_for_url("**/studio/written?saved=3")
    assert [each for each in complaints if "409" not in each] == []
    context.close()


def test_who_may_not_edit_a_teams_runbooks_may_look_and_not_save(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page, _ = studio(deployment, context, CAROL)
    write(page, runbook("not-hers"))
    expect(page.locator("#why-not")).to_contain_text("You may not edit the runbooks of the team payments.")
    expect(page.get_by_role("button", name="Save a draft")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "not-hers.yaml"
    context.close()


CASES = """\
cases:
  - name: It tells
    parameters: {service: checkout}
    expect: {outcome: SUCCESS}
"""


def test_the_cases_are_completed_explained_and_checked_as_the_text_is(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    """By the runbook that is being typed; a mistake in them keeps them from being played."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page, complaints = studio(deployment, context, BOB)
    write(page, runbook("rehearsed"))
    write(page, CASES + "    stubs: {te", "rehearsal-editor")
    page.keyboard.press("Control+ ")
    option = page.locator("#rehearsal-editor .cm-tooltip-autocomplete li[aria-selected]")
    expect(option).to_contain_text("tell")
    page.wait_for_timeout(200)  # a key that comes with the list itself does not choose from it
    page.keyboard.press("Enter")
    expect(page.locator("#rehearsal")).to_have_value(re.compile(r"stubs: \{tell"))
    page.locator("#rehearsal-editor .cm-line", has_text="expect:").hover(position={"x": 42, "y": 5})
    expect(page.locator("#rehearsal-editor .cm-meaning")).to_contain_text("has to come of")
    write(page, CASES.replace("expect:", "answers: {tel: {approve: U0ALICE01}}\n    expect:"), "rehearsal-editor")
    problem = page.locator("#rehearsal-problems li", has_text="no step `tel`")
    expect(problem).to_contain_text("Line 4, column 15")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.locator("#told")).to_contain_text("the cases have mistakes")
    expect(page.locator("#walk")).to_be_empty()
    problem.get_by_role("link").click()
    assert page.evaluate("document.activeElement.id") == "rehearsal-editor"
    expect(page.locator("#problems")).to_contain_text("Nothing is wrong.")
    write(page, CASES, "rehearsal-editor")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.locator("#walk h3")).to_contain_text("It tells")
    page.get_by_role("button", name="Save a draft").click()
    page.wait_for_url("**/studio/rehearsed?saved=1")
    expect(page.locator("#came-to")).to_contain_text("1 passed")
    expect(page.locator("#rehearsal")).to_have_value(CASES)
    assert complaints == []
    context.close()


def test_what_is_typed_is_not_lost_by_leaving_nor_by_a_log_in_that_ends(
    browser: Browser,  # noqa: F811
    deployment: Deployment,
) -> None:
    """Text and cases both. Whoever leaves is asked, unless the text was saved or handed out."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page, _ = studio(deployment, context, BOB)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    write(page, runbook("unsaved"))
    write(page, CASES.replace("It tells", "Kept"), "rehearsal-editor")
    expect(page.get_by_role("button", name="Save a draft")).to_be_visible()
    cookies = context.cookies()
    context.clear_cookies()
    page.get_by_role("button", name="Save a draft").click()
    expect(page.locator("#connection")).to_contain_text("kept in this tab")
    page.goto(f"{deployment.base}/studio")
    assert asked == ["beforeunload"]
    expect(page.locator("main")).not_to_contain_text("New runbook")
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page.reload()
    expect(page.locator("#kept")).to_be_visible()
    expect(page.locator("#text")).to_have_value(runbook("unsaved"))
    expect(page.locator("#rehearsal")).to_have_value(re.compile("name: Kept"))
    page.locator("#editor .cm-content").click()
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    page.goto(f"{deployment.base}/runbooks")
    assert asked == ["beforeunload"]
    page.goto(f"{deployment.base}/studio")
    page.get_by_role("button", name="Show what is saved").click()
    expect(page.locator("#rehearsal")).not_to_have_value(re.compile("name: Kept"))
    page.reload()
    expect(page.locator("#kept")).to_be_hidden()
    assert asked == ["beforeunload"]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_runbook_of_a_file_is_rehearsed_step_by_step(
    browser: Browser,  # noqa: F811
    deployment: Deployment,
    tmp_path: Path,
    scheme: str,
) -> None:
    """By keyboard alone, forward and back; wide and narrow; nothing that axe finds serious; nothing saved."""
    context = browser.new_context(viewport=WIDE, color_scheme=scheme)  # type: ignore[arg-type]
    page, complaints = studio(deployment, context, ALICE, "restart")
    expect(page.locator("#why-not")).to_contain_text("commit it")
    page.get_by_role("button", name="Rehearse").press("Enter")
    expect(page.locator("#walk .where")).to_have_text("Step 1 of 5")
    expect(page.locator("#walk [aria-current] pre").first).to_contain_text("/lb/drain/checkout")
    assert "s3cret" not in page.content()
    forward = page.get_by_role("button", name="Forward")
    forward.press("Enter")
    forward.press("Enter")
    expect(page.locator("#walk [aria-current]")).to_contain_text("restart")
    expect(page.locator("#picture .node.reached")).to_have_count(3)
    page.get_by_role("button", name="Back").press("Enter")
    expect(page.locator("#picture .node.reached")).to_have_count(2)
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.screenshot(path=tmp_path / f"{scheme}-{size['width']}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        told = Axe().run(page).response["violations"]
        assert [
            (each["id"], [node["target"] for node in each["nodes"]]) for each in told if each["impact"] in SERIOUS
        ] == []
    assert complaints == []
    context.close()


def test_without_scripts_the_text_is_a_field_with_a_button(browser: Browser, deployment: Deployment) -> None:  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page, complaints = studio(deployment, context, BOB)
    page.get_by_label("The runbook as YAML").fill(runbook("plain").replace("type: message", "type: mesage"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#problems li")).to_contain_text("Line 13")
    page.get_by_label("The runbook as YAML").fill(runbook("plain"))
    page.get_by_role("button", name="Save a draft").click()
    expect(page.locator("#told")).to_contain_text("Saved as version 1")
    assert complaints == []
    context.close()
