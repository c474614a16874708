"""Block Kit's rules, against Slack's fixtures and by property."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.simulator.blocks import check_blocks, check_view
from bot.simulator.blocks.block_kit_limits import LIMITS

DATA = Path(__file__).parents[3] / "shared" / "slack-data"

Json = dict[str, Any]


def data(name: str) -> Json:
    if not (DATA / name).exists():
        pytest.skip(f"Slack's facts are not beside this repository ({name})")
    return json.loads((DATA / name).read_text())


def txt(length: int = 2, kind: str = "plain_text") -> Json:
    return {"type": kind, "text": "x" * length}


def opt(**more: Any) -> Json:
    return {"text": txt(), "value": "v", **more}


def opts(count: int) -> list[Json]:
    return [opt(value=f"v{index}") for index in range(count)]


def button(**more: Any) -> Json:
    return {"type": "button", "action_id": "a", "text": txt(), **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def section(**more: Any) -> Json:
    return {"type": "section", **more}


def select(**more: Any) -> Json:
    return actions({"type": "static_select", "action_id": "s", **more})


def asks(element: Json, **more: Any) -> Json:
    return {"type": "input", "label": txt(), "element": {"action_id": "i", **element}, **more}


def confirm(**more: Any) -> Json:
    whole = {"title": txt(), "text": txt(), "confirm": txt(), "deny": txt(), **more}
    return actions(button(confirm=whole))


def image(**more: Any) -> Json:
    return {"type": "image", "image_url": "https://e.com/i", "alt_text": "i", **more}


def video(**more: Any) -> Json:
    given = {"alt_text": "v", "title": txt(), "thumbnail_url": "https://e.com", "video_url": "https://e.com"}
    return {"type": "video", **given, **more}


def card(**more: Any) -> Json:
    return {"type": "card", "title": txt(), **more}


def container(**more: Any) -> Json:
    return {"type": "container", "title": txt(), "child_blocks": [{"type": "divider"}], **more}


def feedback(**more: Any) -> Json:
    one = {"text": txt(), "value": "v", **more}
    inside = {"type": "feedback_buttons", "positive_button": one, "negative_button": {"text": txt(), "value": "w"}}
    return {"type": "context_actions", "elements": [inside]}


def raw(text: str = "c") -> Json:
    return {"type": "raw_text", "text": text}


def data_table(rows: int = 2, columns: int = 1, cell: str = "c", **more: Any) -> Json:
    return {"type": "data_table", "caption": "c", "rows": [[raw(cell)] * columns] * rows, **more}


def chart(kind: str = "bar", title: str = "t", **more: Any) -> Json:
    axes = {"categories": ["c"]}
    whole = {"type": kind, "series": [{"name": "n", "data": [{"label": "c", "value": 1}]}], "axis_config": axes}
    return {"type": "data_visualization", "title": title, "chart": {**whole, **more}}


def pie(*segments: Json) -> Json:
    return {"type": "data_visualization", "title": "t", "chart": {"type": "pie", "segments": list(segments)}}


def segment(label: str = "s", value: float = 1) -> Json:
    return {"label": label, "value": value}


def series(**more: Any) -> Json:
    return {"name": "n", "data": [{"label": "c", "value": 1}], **more}


def axes(**more: Any) -> Json:
    return chart(axis_config={"categories": ["c"], **more})


def view(**more: Any) -> Json:
    return {"type": "modal", "title": txt(), "blocks": [{"type": "divider"}], **more}


SOURCE = {"type": "url", "text": "s"}


def task(**more: Any) -> Json:
    return {"type": "task_card", "task_id": "t", "title": "t", "status": "pending", **more}


# What breaks each rule of the fixtures, by the fixture's id.
BROKEN: dict[str, Json] = {
    "text-empty": section(text={"type": "mrkdwn", "text": ""}),
    "text-too-long": {"type": "context", "elements": [txt(3001)]},
    "button-action-id-too-long": actions(button(action_id="x" * 256)),
    "button-text-too-long": actions(button(text=txt(76))),
    "button-url-too-long": actions(button(url="x" * 3001)),
    "button-value-too-long": actions(button(value="x" * 2001)),
    "confirmation-title-too-long": confirm(title=txt(101)),
    "confirmation-text-too-long": confirm(text=txt(301)),
    "confirmation-confirm-too-long": confirm(confirm=txt(31)),
    "confirmation-deny-too-long": confirm(deny=txt(31)),
    "option-text-too-long": select(options=[opt(text=txt(76))]),
    "option-value-too-long": select(options=[opt(value="x" * 151)]),
    "option-url-too-long": actions({"type": "overflow", "action_id": "o", "options": [opt(url="😀" * 3001)]}),
    "option-description-too-long": select(options=[opt(description=txt(76))]),
    "option-group-label-too-long": select(option_groups=[{"label": txt(76), "options": opts(1)}]),
    "option-group-empty": select(option_groups=[{"label": txt(), "options": []}]),
    "option-group-too-many-options": select(option_groups=[{"label": txt(), "options": opts(101)}]),
    "select-placeholder-too-long": select(options=opts(1), placeholder=txt(151)),
    "select-too-many-options": select(options=opts(101)),
    "select-too-many-option-groups": select(option_groups=[{"label": txt(), "options": opts(1)}] * 101),
    "overflow-empty": actions({"type": "overflow", "action_id": "o", "options": []}),
    "overflow-too-many-options": actions({"type": "overflow", "action_id": "o", "options": opts(6)}),
    "checkboxes-empty": actions({"type": "checkboxes", "action_id": "c", "options": []}),
    "checkboxes-too-many-options": actions({"type": "checkboxes", "action_id": "c", "options": opts(11)}),
    "radio-buttons-empty": actions({"type": "radio_buttons", "action_id": "c", "options": []}),
    "radio-buttons-too-many-options": actions({"type": "radio_buttons", "action_id": "c", "options": opts(11)}),
    "url-source-url-empty": task(sources=[{**SOURCE, "url": ""}]),
    "url-source-url-too-long": task(sources=[{**SOURCE, "url": "https://" + "x" * 3000}]),
    "table-too-many-rows": {"type": "table", "rows": [[raw()]] * 101},
    "table-ragged-rows": {"type": "table", "rows": [[raw()], [raw(), raw()]]},
    "table-column-settings-mismatch": {"type": "table", "rows": [[raw()]], "column_settings": [{}, {}]},
    "file-input-max-files-too-small": asks({"type": "file_input", "max_files": 0}),
    "file-input-max-files-too-large": asks({"type": "file_input", "max_files": 11}),
    "plain-text-input-max-length-too-large": asks({"type": "plain_text_input", "max_length": 3001}),
    "actions-too-many-elements": actions(*(button(action_id=f"a{index}") for index in range(26))),
    "context-too-many-elements": {"type": "context", "elements": [txt()] * 11},
    "header-text-too-long": {"type": "header", "text": txt(151)},
    "image-url-too-long": image(image_url="x" * 3001),
    "image-alt-text-too-long": image(alt_text="x" * 2001),
    "input-label-too-long": asks({"type": "plain_text_input"}, label=txt(2001)),
    "input-hint-too-long": asks({"type": "plain_text_input"}, hint=txt(2001)),
    "markdown-empty": {"type": "markdown", "text": ""},
    "markdown-too-long": {"type": "markdown", "text": "x" * 12001},
    "section-text-too-long": section(text=txt(3001)),
    "section-too-many-fields": section(fields=[txt()] * 11),
    "section-field-too-long": section(fields=[txt(2001)]),
    "video-alt-text-empty": video(alt_text=""),
    "video-alt-text-too-long": video(alt_text="x" * 2001),
    "video-title-too-long": video(title=txt(201)),
    "video-author-name-too-long": video(author_name="x" * 51),
    "video-description-too-long": video(description=txt(201)),
    "video-provider-name-too-long": video(provider_name="x" * 51),
    "section-missing-content": section(),
    "static-select-options-and-groups": select(options=opts(1), option_groups=[{"label": txt(), "options": opts(1)}]),
    "image-url-and-slack-file": image(slack_file={"id": "F1"}),
    "number-input-inverted-range": asks(
        {"type": "number_input", "is_decimal_allowed": True, "min_value": "2", "max_value": "1"}
    ),
    "context-invalid-element": {"type": "context", "elements": [button()]},
    "input-invalid-element": asks(button()),
    "block-id-too-long": {"type": "divider", "block_id": "x" * 256},
    "button-accessibility-label-too-long": actions(button(accessibility_label="x" * 76)),
    "alert-text-too-long": {"type": "alert", "text": txt(201)},
    "card-title-too-long": card(title=txt(151)),
    "card-subtitle-too-long": card(subtitle=txt(151)),
    "card-body-too-long": card(body=txt(201)),
    "card-too-many-actions": card(actions=[button(action_id=f"a{index}") for index in range(4)]),
    "card-subtext-too-long": card(subtext=txt(201)),
    "carousel-empty": {"type": "carousel", "elements": []},
    "carousel-too-many-cards": {"type": "carousel", "elements": [card()] * 11},
    "container-title-too-long": container(title=txt(151)),
    "container-subtitle-too-long": container(subtitle=txt(151)),
    "container-too-many-child-blocks": container(child_blocks=[{"type": "divider"}] * 11),
    "context-actions-too-many-elements": {"type": "context_actions", "elements": feedback()["elements"] * 6},
    "feedback-button-text-too-long": feedback(text=txt(76)),
    "feedback-button-value-too-long": feedback(value="x" * 2001),
    "feedback-button-accessibility-label-too-long": feedback(accessibility_label="x" * 76),
    "icon-button-too-many-visible-users": {
        "type": "context_actions",
        "elements": [{"type": "icon_button", "icon": "trash", "text": txt(), "visible_to_user_ids": ["U1"] * 11}],
    },
    "data-table-too-few-rows": data_table(rows=1),
    "data-table-too-many-rows": data_table(rows=202),
    "data-table-too-few-columns": data_table(columns=0),
    "data-table-too-many-columns": data_table(columns=21),
    "data-table-page-size-too-small": data_table(page_size=0),
    "data-table-page-size-too-large": data_table(page_size=101),
    "data-table-cell-text-empty": data_table(cell=""),
    "data-table-content-too-long": data_table(rows=100, columns=20, cell="x" * 11),
    "data-visualization-title-too-long": chart(title="x" * 51),
    "pie-chart-empty": pie(),
    "pie-chart-too-many-segments": pie(*[segment()] * 13),
    "chart-segment-label-too-long": pie(segment(label="x" * 21)),
    "chart-segment-value-not-positive": pie(segment(value=0)),
    "chart-series-empty": chart(series=[]),
    "chart-too-many-series": chart(series=[series()] * 13),
    "data-series-name-too-long": chart(series=[series(name="x" * 21)]),
    "data-series-empty": chart(series=[series(data=[])]),
    "data-series-too-many-points": chart(series=[series(data=[{"label": "c", "value": 1}] * 21)]),
    "data-point-label-too-long": chart(series=[series(data=[{"label": "x" * 21, "value": 1}])]),
    "axis-categories-empty": axes(categories=[]),
    "axis-too-many-categories": axes(categories=["c"] * 21),
    "axis-category-label-too-long": axes(categories=["x" * 21]),
    "axis-label-too-long": axes(x_label="x" * 51),
}
BROKEN_VIEWS: dict[str, Json] = {
    "view-missing-blocks": view(blocks=[]),
    "view-too-many-blocks": view(blocks=[{"type": "divider"}] * 101),
    "view-private-metadata-too-long": view(private_metadata="x" * 3001),
    "view-callback-id-too-long": view(callback_id="x" * 256),
    "view-title-too-long": view(title=txt(25)),
    "view-close-too-long": view(close=txt(25)),
    "view-submit-too-long": view(submit=txt(25)),
}
# An app may not send a file block, and two messages use a block_id twice, which Slack refuses.
ODD_VALID = {"blocks/file_block_only", "messages/webhook_message_basic", "messages/webhook_message_delete"}


def surface_of(block: Json) -> str:
    modal_only = block["type"] == "alert" or block.get("element", {}).get("type") == "file_input"
    return "modal" if modal_only else "message"


def rules_broken(fixture: str) -> set[str]:
    if fixture in BROKEN_VIEWS:
        return {problem.rule for problem in check_view(BROKEN_VIEWS[fixture])}
    block = BROKEN[fixture]
    return {problem.rule for problem in check_blocks([block], surface_of(block))}


def test_every_invalid_fixture_is_refused_by_its_rule() -> None:
    """Each rule of the fixtures refuses a block that breaks it, and is named."""
    fixtures = {each["id"]: each["constraint"] for each in data("blockkit_fixtures.json")["invalid"]}
    assert set(fixtures) == set(BROKEN) | set(BROKEN_VIEWS)
    wrong = {name: rules_broken(name) for name, rule in fixtures.items() if rule not in rules_broken(name)}
    assert wrong == {}


@pytest.mark.parametrize("fixture", sorted(BROKEN | BROKEN_VIEWS))
def test_breaking_one_rule_is_one_problem(fixture: str) -> None:
    """A block that breaks one rule is refused for that alone."""
    assert len(rules_broken(fixture)) == 1


def test_every_valid_fixture_is_taken() -> None:
    """Blocks, views and messages that Slack takes, the workspace takes."""
    refused = {}
    for name, value in data("blockkit_fixtures.json")["valid"].items():
        if name.startswith("blocks/"):
            problems = check_blocks([value], surface_of(value))
        elif name.startswith("views/"):
            problems = check_view(value)
        elif name.startswith("messages/"):
            problems = check_blocks(value.get("blocks", []), "message")
        else:
            continue
        if problems:
            refused[name] = problems
    assert set(refused) == ODD_VALID


def test_limits_agree_with_slacks() -> None:
    """Every limit both tables have is the same in both."""
    theirs = data("blockkit_limits.json")["limits"]
    shared = LIMITS.keys() & theirs.keys()
    assert len(shared) > 100
    assert {name: LIMITS[name] for name in shared} == {name: theirs[name] for name in shared}


def test_plans_hold_fifty_tasks() -> None:
    """A plan takes 50 tasks and no 51st."""
    assert not check_blocks([{"type": "plan", "title": "p", "tasks": [task()] * 50}], "message")
    (problem,) = check_blocks([{"type": "plan", "title": "p", "tasks": [task()] * 51}], "message")
    assert (problem.pointer, problem.rule) == ("/blocks/0/tasks", "plan.tasks.max_items")


@pytest.mark.parametrize(
    ("block", "surface", "rule"),
    [
        ({"type": "sparkle"}, "message", "unknown_block"),
        ({"type": "divider", "colour": "red"}, "message", "unknown_field"),
        ({"type": "plan", "title": "p"}, "modal", "surface"),
        ({"type": "table", "rows": [[raw()]]}, "home", "surface"),
        ({"type": "alert", "text": txt()}, "message", "surface"),
        ({"type": "header", "text": txt(kind="mrkdwn")}, "message", "text.type"),
        (actions(button(text=txt(kind="mrkdwn"))), "message", "text.type"),
        (section(text={"type": "mrkdwn", "text": "x", "emoji": True}), "message", "unknown_field"),
        (section(text=None), "message", "text.type"),
        (actions(button(), button()), "message", "action_id.unique"),
        (actions({"type": "plain_text_input", "action_id": "p"}), "message", "actions.elements"),
        (select(options=opts(2), initial_option=opt(value="v9")), "message", "initial_option"),
        (task(status="done"), "message", "enum"),
        (asks({"type": "file_input"}), "message", "surface"),
        ("text", "message", "required"),
    ],
)
def test_mistakes_developers_make_are_named(block: Any, surface: str, rule: str) -> None:
    """What Slack refuses or shows badly is refused by rule."""
    assert [problem.rule for problem in check_blocks([block], surface)] == [rule]


def test_block_ids_are_unique_and_tables_single() -> None:
    """Rules about the whole message are kept."""
    twice = [{"type": "divider", "block_id": "a"}] * 2
    assert [problem.rule for problem in check_blocks(twice, "message")] == ["block_id.unique"]
    tables = [{"type": "table", "rows": [[raw()]]}] * 2
    assert [problem.rule for problem in check_blocks(tables, "message")] == ["only_one_table_allowed"]
    markdown = [{"type": "markdown", "text": "x" * 7000}] * 2
    assert [problem.rule for problem in check_blocks(markdown, "message")] == ["markdown.total_text.max_length"]


def test_inputs_need_a_submit_button() -> None:
    """A modal with an input and nothing to submit it with is refused."""
    blocks = [asks({"type": "plain_text_input"})]
    assert [problem.rule for problem in check_view(view(blocks=blocks))] == ["view.submit"]
    assert not check_view(view(blocks=blocks, submit=txt()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "elements", "blocks", "tasks", "options", "x"]), inner, max_size=4
        )
        | st.fixed_dictionaries({"type": st.sampled_from(["section", "actions", "plan", "input", "table", "mrkdwn"])})
    ),
    max_leaves=12,
)


@given(json_values)
def test_nothing_makes_the_checks_stumble(value: Any) -> None:
    """Any JSON whatever is judged, never a crash."""
    for problem in [*check_blocks(value, "message"), *check_view(value)]:
        assert problem.pointer.startswith(("/blocks", "/view"))


@given(st.text(min_size=1, max_size=3200))
def test_section_text_is_counted_in_code_points(text: str) -> None:
    """3,000 code points fit into a section, one more does not."""
    problems = check_blocks([section(text={"type": "mrkdwn", "text": text})], "message")
    assert bool(problems) == (len(text) > 3000)
