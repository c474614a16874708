"""A template is part of every runbook that uses it: its edit is a new draft, watched, shown and owned like one."""

from __future__ import annotations

from pathlib import Path

from git_repositories import CAROL, MALLORY, commit, repository
from harness import ALICE, Harness, Target

from engine.access.policy import SYSTEM
from engine.catalog import catalog, sync
from engine.catalog.folder_watch import signature
from engine.runs import voting
from storage import approvals, database
from storage.records import ApprovalRecord
from storage.states import Decision

RUNBOOK = """\
apiVersion: runbook/v1
id: demo
name: Demo
team: payments
steps:
  - {id: one, uses: call, with: {path: first}}
  - {id: two, uses: call, with: {path: "{{ steps.one.outputs.status }}"}}
"""
TEMPLATE = """\
apiVersion: runbook/v1
kind: template
parameters: {type: object, required: [path], properties: {path: {type: string}}}
steps:
  - {id: get, type: http, with: {url: "%s{{ params.path }}"}}
outputs: {status: "{{ steps.get.outputs.status }}"}
"""


def put(harness: Harness, name: str, text: str) -> Path:
    path = harness.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_an_edited_template_is_a_new_draft(harness: Harness, target: Target) -> None:
    put(harness, "_templates/call.yaml", TEMPLATE % target.url("/a/"))
    put(harness, "demo.yaml", RUNBOOK)
    harness.sync()
    harness.approve("demo")
    run = harness.start("demo")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a/first", "/a/200"]
    assert harness.step(run, "one.one-get").status == "SUCCESS"
    put(harness, "_templates/call.yaml", TEMPLATE % target.url("/b/"))
    (change,) = harness.sync().changes
    assert (change.slug, change.kind, change.number) == ("demo", "changed", 2)
    assert "/b/first" in catalog.diff(harness.rt, "demo", 2)
    assert harness.sync().changes == ()


GATED = """\
apiVersion: runbook/v1
kind: template
parameters: {type: object, required: [what], properties: {what: {type: string}}}
steps:
  - {id: ask, type: approval, with: {approvers: {roles: [platform_admin]}, message: "%s {{ params.what }}?"}}
  - {id: act, type: http, with: {method: POST, url: "https://h.example.com/{{ params.what }}"}}
"""


def test_a_gate_in_a_template_holds_what_is_behind_it(harness: Harness) -> None:
    """It is asked in each use, and what follows the use waits for it too."""
    put(harness, "_templates/gated.yaml", GATED % "Do")
    after = "  - {id: after, type: http, with: {url: 'https://h.example.com/after'}}\n"
    steps = "  - {id: one, uses: gated, with: {what: restart}}\n" + after
    put(harness, "demo.yaml", "apiVersion: runbook/v1\nid: demo\nname: Demo\nteam: payments\nsteps:\n" + steps)
    report = harness.sync()
    assert report.ok, report.problems
    harness.approve("demo")
    run = harness.start("demo")
    harness.advance(run)
    assert harness.step(run, "one.one-act").status == "BLOCKED"
    assert harness.step(run, "after").status == "BLOCKED"
    (gate,) = opened(harness, run)
    assert gate.message == "Do restart?"
    voting.vote(harness.rt, ALICE, run, gate.path, Decision.REJECT, "Not now.")
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "after").status != "SUCCESS"


def opened(harness: Harness, run: str) -> list[ApprovalRecord]:
    with database.reading():
        return list(approvals.of_execution(run))


def test_a_broken_template_changes_nothing(harness: Harness) -> None:
    put(harness, "_templates/call.yaml", TEMPLATE % "https://h.example.com/")
    put(harness, "demo.yaml", RUNBOOK)
    harness.sync()
    put(harness, "_templates/call.yaml", "kind: template\n")
    report = harness.sync()
    assert report.changes == ()
    assert any("the template `call` is wrong" in each.message for each in report.problems)
    (harness.folder / "_templates" / "call.yaml").unlink()
    report = harness.sync()
    assert report.changes == ()
    assert any("there is no template `call`" in each.message for each in report.problems)


def test_the_watch_sees_templates(harness: Harness) -> None:
    put(harness, "demo.yaml", RUNBOOK)
    before = signature(harness.folder)
    template = put(harness, "_templates/call.yaml", TEMPLATE)
    seen = signature(harness.folder)
    assert before != seen
    template.write_text(TEMPLATE + "# more\n")
    assert signature(harness.folder) != seen


def test_who_edits_a_template_is_the_author(harness: Harness) -> None:
    """Nobody approves their own edit, and a template's edit is one of every runbook that uses it."""
    put(harness, "_templates/call.yaml", TEMPLATE % "https://h.example.com/a/")
    repository(harness.folder)
    commit(harness.folder, demo=RUNBOOK)
    sync.sync(harness.rt, SYSTEM, {CAROL: "U0CAROL01", MALLORY: "U0DAVE001"}.get)
    assert catalog.version(harness.rt, "demo").author == "U0CAROL01"
    put(harness, "_templates/call.yaml", TEMPLATE % "https://h.example.com/b/")
    commit(harness.folder, MALLORY)
    sync.sync(harness.rt, SYSTEM, {CAROL: "U0CAROL01", MALLORY: "U0DAVE001"}.get)
    assert catalog.version(harness.rt, "demo").author == "U0DAVE001"
    put(harness, "_templates/call.yaml", TEMPLATE % "https://h.example.com/c/")
    sync.sync(harness.rt, SYSTEM, {CAROL: "U0CAROL01", MALLORY: "U0DAVE001"}.get)
    assert catalog.version(harness.rt, "demo").author is None


def test_a_broken_template_that_nobody_uses_is_told(harness: Harness) -> None:
    """With its file and line, and once; the runbooks are taken in all the same."""
    put(harness, "_templates/call.yaml", TEMPLATE % "https://h.example.com/")
    put(harness, "demo.yaml", RUNBOOK)
    lonely = put(harness, "_templates/lonely.yaml", TEMPLATE.replace("type: http", "type: htp"))
    (harness.folder / "_templates" / "link.yaml").symlink_to(lonely)
    report = harness.sync()
    assert [each.slug for each in report.changes] == ["demo"]
    link, typo = sorted(report.problems)
    assert (link.file, "symbolic link" in link.message) == (str(lonely.with_name("link.yaml")), True)
    assert (typo.file, typo.line) == (str(lonely), 5)
    assert "http" in typo.message
    lonely.write_text(TEMPLATE % "https://h.example.com/")
    lonely.with_name("link.yaml").unlink()
    assert harness.sync().ok


def test_a_folder_of_templates_that_is_a_link_is_told(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (harness.folder / "_templates").symlink_to(tmp_path / "elsewhere")
    put(
        harness, "demo.yaml", "apiVersion: runbook/v1\nid: demo\nname: Demo\nwebhook: {url: 'https://h.example.com/'}\n"
    )
    (problem,) = harness.sync().problems
    assert problem.file.endswith("_templates")
    assert "links are not followed" in problem.message
