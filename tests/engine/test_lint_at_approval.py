"""What whoever approves a version is told of its warnings: each with its rule, those that the file ignores too."""

from __future__ import annotations

import json

import pytest
from harness import Harness, http, runbook

from engine.catalog import catalog, secret_policy
from storage import database
from storage.tables import RunbookVersion


def told(harness: Harness) -> list[str]:
    return [
        each for each in secret_policy.warnings(harness.rt, catalog.version(harness.rt, "demo")) if "Nobody" not in each
    ]


def text(comment: str) -> str:
    step = json.dumps(http("a", "http://h.example/x"))
    return f"apiVersion: runbook/v1\nid: demo\nname: Demo\nteam: payments\nsteps:\n  - {step} {comment}\n"


def test_each_warning_names_its_rule(harness: Harness) -> None:
    harness.sync(demo=text(""))
    (warning,) = told(harness)
    assert warning.endswith("can be read on the way [plain-http]")


def test_what_the_file_ignores_is_told_with_its_reason(harness: Harness) -> None:
    """Who writes a file may not hide from who approves it."""
    harness.sync(demo=text("# lint: ignore=plain-http all in one rack"))
    (warning,) = told(harness)
    assert warning.endswith("[plain-http]; the file ignores this: all in one rack")


def test_an_ignore_that_is_none_hides_nothing(harness: Harness) -> None:
    harness.sync(demo=text("# lint: ignore=plain-http"))
    assert sorted(each.rpartition(" ")[2] for each in told(harness)) == ["[invalid-ignore]", "[plain-http]"]


def test_a_version_whose_file_is_not_taken_any_more_is_still_warned_about(harness: Harness) -> None:
    """A release before this one took it; its definition is what runs."""
    harness.sync(demo=text(""))
    with database.transaction():
        RunbookVersion.update(source="steps: {{ nonsense").execute()
    (warning,) = told(harness)
    assert warning.endswith("[plain-http]")


@pytest.mark.parametrize(
    ("entry", "rule"), [("", "unlisted-secret"), ("token: {teams: [payments]}", "secret-without-hosts")]
)
def test_the_rules_for_secrets_have_ids_there_too(entry: str, rule: str, harness: Harness) -> None:
    auth = {"type": "bearer", "token": "{{ secrets.token }}"}
    harness.sync(
        demo=runbook("demo", http("a", "https://h.example/x", auth=auth)), _secrets_yaml=f"secrets: {{{entry}}}"
    )
    assert [each for each in told(harness) if each.endswith(f"[{rule}]")]
