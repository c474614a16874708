"""The Home tab: what waits for somebody, what runs, and the catalogue to search and run from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    InputBlock,
    InteractiveElement,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    StaticSelectElement,
)
from slack_sdk.models.blocks.basic_components import DispatchActionConfig

from bot.slack.ids import Action
from bot.slack.payload_values import GateRef, HomeState, encode
from bot.slack.views.freezes import freeze_line, stop_button
from bot.slack.views.lists import run_line, runbook_line
from bot.slack.views.notice import draft_line
from bot.slack.views.parts import actions, button, context, header, section, sections
from bot.slack.views.renewal import renewal_line
from bot.slack.views.text import code, inline, person, plain, when
from engine.catalog.renewals import STATUSES
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord

if TYPE_CHECKING:
    from engine.catalog.renewals import Approval
    from engine.runs.freezing import FreezeView
    from engine.runs.voting import Waiting

PAGE = 15
"""Runbooks on one page of the catalogue."""
GATES, RUNS, DRAFTS, RENEWALS, FREEZES = 8, 10, 5, 5, 5
ANY = "*"
_CHOICES = 99


@dataclass(frozen=True, slots=True)
class HomeContent:
    """What somebody's Home tab shows. `found` are the runbooks that fit, `may_run` the ids that this person may run,
    `drafts` what they may approve, `renewals` what they may renew, `may_stop` whether they may freeze everything."""

    waiting: Sequence[Waiting]
    mine: Sequence[ExecutionRecord]
    lately: Sequence[ExecutionRecord]
    found: Sequence[RunbookRecord]
    may_run: Collection[str]
    teams: Sequence[str]
    tags: Sequence[str]
    drafts: Sequence[VersionRecord] = ()
    renewals: Sequence[Approval] = ()
    frozen: Sequence[FreezeView] = ()
    may_stop: bool = False


def home_view(content: HomeContent, state: HomeState, command: str) -> dict[str, Any]:
    """A view of type home; what is looked for in it travels as its private_metadata."""
    blocks: list[Block] = [header("Waiting for you")]
    asked = [*map(_gate_line, content.waiting[:GATES]), *map(draft_line, content.drafts[:DRAFTS])]
    asked += map(renewal_line, content.renewals[:RENEWALS])
    blocks += asked or [section("No gate and no draft waits for your decision.")]
    if len(content.waiting) > GATES:
        blocks.append(context(f"{len(content.waiting) - GATES} or more others wait too; these are the most urgent."))
    if len(content.drafts) > DRAFTS:
        blocks.append(context(f"More drafts wait: {code(f'{command} admin approve')} lists them."))
    if len(content.renewals) > RENEWALS:
        blocks.append(context(f"More approvals end soon: {code(f'{command} admin renew')} lists them."))
    blocks += _frozen(content)
    blocks += [header("Your runs"), *_runs(content.mine, "You have started nothing lately.")]
    blocks += [header("The last hour"), *_runs(content.lately, "Nothing was started in the last hour.")]
    blocks += [header("Runbooks"), *_filters(content, state), *_catalogue(content, state)]
    blocks.append(context(f"{code(f'{command} help')} lists what can be typed."))
    return {"type": "home", "private_metadata": encode(state), "blocks": [block.to_dict() for block in blocks]}


def _runs(runs: Sequence[ExecutionRecord], nothing: str) -> list[Block]:
    return sections(run_line(run) for run in runs[:RUNS]) or [section(nothing)]


def _frozen(content: HomeContent) -> list[Block]:
    lines = [freeze_line(each) for each in content.frozen[:FREEZES]]
    told: list[Block] = [header("Frozen"), *sections(lines)] if lines else []
    return [*told, *actions([stop_button()] if content.may_stop else [])]


def _gate_line(waiting: Waiting) -> Block:
    approval, execution = waiting.gate.approval, waiting.execution
    lack = f"{waiting.gate.missing} more approval{'' if waiting.gate.missing == 1 else 's'}"
    what = f"{code(f'{execution.slug}@{execution.number}', 120)}, {code(execution.id)}"
    facts = f"needs {lack} · asked for by {person(execution.requester)} · open until {when(approval.expires_at)}"
    ref = GateRef(approval.execution_id, approval.path, approval.digest)
    title = f"✋ *{inline(approval.path, 120)}* of {what}"
    lines = [title, inline(approval.message, 200), facts]
    return section("\n".join(line for line in lines if line), button("Review…", Action.REVIEW, ref))


def _filters(content: HomeContent, state: HomeState) -> list[Block]:
    search = PlainTextInputElement(
        action_id=Action.HOME_TEXT.value,
        placeholder=_plain("Words in the id, name or description", 150),
        initial_value=state.text or None,
        dispatch_action_config=DispatchActionConfig(trigger_actions_on=["on_enter_pressed"]),
    )
    statuses = list(STATUSES)
    selects: list[InteractiveElement] = [
        _select(Action.HOME_TEAM, "Any team", content.teams, state.team),
        _select(Action.HOME_TAG, "Any tag", content.tags, state.tag),
        _select(Action.HOME_STATUS, "Any status", statuses, state.status),
    ]
    return [
        InputBlock(
            block_id="search", label=_plain("Search, then press Enter", 100), element=search, dispatch_action=True,
            optional=True,
        ),
        ActionsBlock(block_id="filters", elements=selects),
    ]  # fmt: skip


def _select(action: Action, anything: str, choices: Iterable[str], chosen: str) -> StaticSelectElement:
    """A menu of filters, the first of which lets everything through."""
    named = [choice for choice in choices if 0 < len(choice) <= 75][:_CHOICES]
    options = [Option(text=_plain(anything, 75), value=ANY)]
    options += [Option(text=_plain(choice, 75), value=choice) for choice in named]
    picked = next((option for option in options if option.value == chosen), options[0])
    return StaticSelectElement(action_id=action.value, options=options, initial_option=picked)


def _catalogue(content: HomeContent, state: HomeState) -> list[Block]:
    found, pages = content.found, max(1, -(-len(content.found) // PAGE))
    if not found:
        return [section("No runbook fits." if state != HomeState() else "There are no runbooks yet.")]
    page = min(max(state.page, 0), pages - 1)
    shown = found[page * PAGE : (page + 1) * PAGE]
    blocks: list[Block] = [runbook_line(runbook, offer=runbook.slug in content.may_run) for runbook in shown]
    if pages > 1:
        first = page * PAGE + 1
        blocks.append(context(f"{first} to {first + len(shown) - 1} of {len(found)} runbooks"))
        turns = [("Back", Action.HOME_BACK, page - 1), ("More", Action.HOME_PAGE, page + 1)]
        blocks += actions([button(label, act, replace(state, page=to)) for label, act, to in turns if 0 <= to < pages])
    return blocks


def _plain(text: str, limit: int) -> PlainTextObject:
    return PlainTextObject(text=plain(text, limit))
