"""Nobody approves what was not shown to them: what is too long for a message is read in parts first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sample_records import gate, version, view
from stage import ALICE, CAROL, DAVE, Stage, ready_with, shown, stage, wait_for
from test_views import ID, buttons, check, strings, words

from bot.reach_words import reach_lines
from bot.simulator.blocks import check_view
from bot.slack.views import admin, form, reminder
from bot.slack.views.gate import gate_blocks, gate_post, parts
from bot.slack.views.parts import message
from engine.catalog import catalog
from storage.states import VersionStatus


def hidden(told: str) -> int:
    """How many characters a message says it leaves out."""
    count = re.search(r"\*([\d,]+) more characters are not shown", told)
    return int(count[1].replace(",", "")) if count else 0


def in_full(windows: list[dict[str, Any]], last: list[str], others: list[str]) -> str:
    """All texts of a modal's parts, of which Slack takes each, and only the last has what decides."""
    assert len(windows) > 1
    for window in windows:
        assert check_view(window) == []
        assert buttons(window["blocks"]) == (last if window is windows[-1] else others)
    return "\n".join(text for window in windows for _, text in strings(window))


def test_what_is_not_done_is_shown_whole_or_said_to_be_left_out() -> None:
    """Nobody approves below a list that ends before the step that matters: in the message, on the card, in the form."""
    whys = ["&" * 300, "x " * 400, "<" * 300, f"skipped by {ID}: no time"] * 40
    left_out = [{"step": f"s{n}", "kind": "http", "instead": why} for n, why in enumerate(whys)]
    given = gate(preview=[*left_out, {"step": "wipe", "kind": "http", "url": "https://a/"}])
    for brief in (False, True):
        drawn = check(message("gate", gate_blocks(given, brief=brief)))
        assert hidden(words(drawn)) > 40 * 1200
        assert buttons(drawn.blocks) == ["gate.review"]
    windows = [form.gate_form(given, "U0CAROL01", page=page) for page in range(len(parts(given.approval)))]
    told = in_full(windows, ["gate.approve", "gate.reject"], ["gate.part"])
    assert "wipe: https://a/" in told
    assert [told.count(char) for char in ("&amp;", "x ", "&lt;&lt;")] == [40 * 300, 40 * 399, 40 * 150]
    assert all(f"• `s{n}`: " in told for n in range(160))
    assert told.count(f"skipped by <@{ID}>: no time") == 40


def test_of_a_long_reason_the_rest_is_not_left_out_in_silence() -> None:
    """One step that is not done, with a reason that a message cuts."""
    given = gate(preview=[{"step": "s", "kind": "http", "instead": "y" * 400}])
    assert buttons(gate_post(given).blocks) == ["gate.review"]
    assert hidden(words(gate_post(given))) == 100
    few = gate(preview=[{"step": "s", "kind": "http", "instead": "y" * 300}])
    assert buttons(gate_post(few).blocks) == ["gate.approve", "gate.reject"]


@pytest.mark.parametrize("long", [False, True])
def test_told_directly_says_to_type_only_what_was_shown_whole(long: bool) -> None:
    """Where something is left out a button opens it, and nothing is typed."""
    told = check(reminder.direct_gate_message(gate(message="m" * 900 if long else "sure?"), view(), "", "/runbook"))
    assert buttons(told.blocks) == (["gate.review"] if long else [])
    assert ("/runbook approve" in words(told)) is not long


@pytest.mark.parametrize(
    ("diff", "warnings"),
    [
        ("\n".join(f"+{'&' * 300}{n}" for n in range(90)), []),
        ("+a", [f"warning {n} " + "w" * 200 for n in range(400)]),
        ("+a", ["w" * 2400] * 40),
    ],
)
def test_a_version_is_approved_below_all_that_it_changes(diff: str, warnings: list[str]) -> None:
    """Its message opens what it leaves out; of the warnings it says how many these are."""
    drawn = check(admin.change_view(version(), diff, warnings, offer=True))
    assert buttons(drawn.blocks)[0] == "version.part"
    assert "version.approve" not in buttons(drawn.blocks)
    assert (f"… and {len(warnings) - 8} more" in words(drawn)) is (len(warnings) > 8)
    number = len(admin.change_parts(diff, warnings))
    windows = [form.version_form(version(), diff, warnings, page, first=False) for page in range(number)]
    if number == 1:
        windows.insert(0, form.version_form(version(), diff * 99, warnings * 99, 0, first=False))
    told = in_full(windows, ["version.approve"], ["version.part"])
    assert all(f"{line.replace('&', '&amp;')}\n" in f"{told}\n" for line in diff.splitlines())
    assert all(each in told for each in warnings)


@pytest.mark.parametrize("hosts", [2, 3000])
def test_a_version_is_approved_below_every_host_and_secret(hosts: int) -> None:
    """The button that approves stands where all of them do."""
    calls = list(reach_lines((f"s{n}", f"h{n}.example", n % 2 == 0, [f"key_{n}"]) for n in range(hosts)))
    drawn = check(admin.change_view(version(), "+a", [], offer=True, calls=calls))
    if hosts == 2:
        assert buttons(drawn.blocks)[0] == "version.approve"
        assert all(each in words(drawn) for each in ("h0.example, with key_0 (s0)", "decided when it runs: h1.example"))
        return
    assert buttons(drawn.blocks)[0] == "version.part"
    number = len(admin.change_parts("+a", [], calls))
    windows = [form.version_form(version(), "+a", [], page, first=False, calls=calls) for page in range(number)]
    told = in_full(windows, ["version.approve"], ["version.part"])
    assert all(each in told for each in calls)


def test_what_is_approved_already_is_not_offered_below_its_parts() -> None:
    """Somebody else was faster."""
    window = form.version_form(version(status=VersionStatus.APPROVED), "+a", [], 0, first=True)
    assert buttons(window["blocks"]) == []


SIGN = """
steps:
  - id: sign
    type: approval
    with: {min_approvals: 1, approvers: {roles: [platform_admin]}, message: "sure?"}
    timeout: 15m
"""
STEP = """
  - id: step{number:03}
    type: http
    with: {{method: POST, url: "TARGET/nowhere", json: {{text: "{filler}"}}}}
"""
WIPE = """
  - id: wipe-everything
    type: http
    with: {method: POST, url: "TARGET/nowhere"}
"""
LONG = SIGN + "".join(STEP.format(number=n, filler="x" * 400) for n in range(20)) + WIPE


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in HTTP mode with a runbook that no message holds."""
    with stage(tmp_path_factory.mktemp("whole"), socket_mode=False) as running:
        ready_with(running, {"long": LONG})
        yield running


def test_what_is_typed_from_a_cut_message_does_not_approve_the_rest(bot: Stage) -> None:
    """It is answered with the button that opens all of it; a rejection by word counts."""
    told = bot.say("run long", CAROL, "C0PAYMENTS")
    run = "R-" + told.split("R-")[1][:6]
    here = f"D{DAVE[1:]}"
    (call,) = wait_for(lambda: [m for m in bot.messages(DAVE, here) if run in shown(m)])
    seen = shown(call)
    assert "wipe-everything" not in seen
    assert "more characters are not shown" in seen
    assert f"approve {run} sign" not in seen
    for line in (f"approve {run} sign", f"approve {run}"):
        answered = bot.say(line, DAVE, here)
        assert "open it" in answered
        assert "You approved" not in answered
    assert "You asked for this run" in bot.say(f"approve {run} sign", CAROL, "C0PAYMENTS")
    assert "You rejected" in bot.say(f"reject {run} sign comment=no", DAVE, here)


def test_a_long_version_is_read_to_its_end_and_approved_there(bot: Stage) -> None:
    """Its message opens the parts; the approval is shown in their place."""
    steps = "".join(STEP.format(number=n, filler="x" * 900) for n in range(110))
    folder = bot.rt.settings.runbooks_dir
    head = (folder / "long.yaml").read_text().partition("steps:")[0]
    text = (head + SIGN + steps + WIPE).replace("TARGET", str(bot.sim.target_url))
    (folder / "longer.yaml").write_text(text.replace("id: long\n", "id: longer\n"))
    assert "longer@1" in bot.say("admin sync", ALICE)
    asked = bot.say("admin approve longer", ALICE)
    assert "more characters are not shown here" in asked
    assert "wipe-everything" not in asked
    message_ts = bot.private(ALICE)[-1]["ts"]
    assert bot.click("version.part", ALICE, message_ts)["ok"]
    first = bot.form(ALICE)
    assert "part 1 of 2" in str(first)
    assert "version.approve" not in str(first)
    assert bot.post("click", user=ALICE, view_id=first["id"], action_id="version.part")["ok"]
    last = wait_for(lambda: (f := bot.form(ALICE)) and "part 2 of 2" in str(f) and f)
    assert "wipe-everything" in str(last)
    assert catalog.version(bot.rt, "longer").status is VersionStatus.DRAFT
    assert bot.post("click", user=ALICE, view_id=last["id"], action_id="version.approve")["ok"]
    wait_for(lambda: "is approved" in str(bot.form(ALICE)))
    assert catalog.version(bot.rt, "longer").status is VersionStatus.APPROVED


def test_slack_found_nothing_to_complain_about(bot: Stage) -> None:
    """Over all that was done here, Slack refused no call and missed no ack."""
    assert bot.get("problems") == []
