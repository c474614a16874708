"""The Home tab: what is going on now, and what could be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block

from bot.slack.views.lists import run_line, runbook_line
from bot.slack.views.parts import context, header, section, sections
from bot.slack.views.text import code
from storage.records import ExecutionRecord, RunbookRecord

_RUNBOOKS = 30


def home_view(open_runs: Sequence[ExecutionRecord], runbooks: Sequence[RunbookRecord], command: str) -> dict[str, Any]:
    """A view of type home. It offers no runs: a run belongs into a channel, where its card is seen."""
    blocks: list[Block] = [header("Open runs")]
    blocks += (
        sections(run_line(run) for run in open_runs) if open_runs else [section("Nothing runs or waits right now.")]
    )
    blocks.append(header("Runbooks"))
    blocks += [runbook_line(runbook, offer=False) for runbook in runbooks[:_RUNBOOKS]] or [
        section("There are no runbooks yet.")
    ]
    blocks.append(context(f"{code(f'{command} help')} lists what can be typed."))
    return {"type": "home", "blocks": [block.to_dict() for block in blocks]}
