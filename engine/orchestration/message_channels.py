"""Where a `message` step may speak, asked when the step is done and again when it is posted.

That is the run's own channel, one that the file's author wrote down, and one that a value names if who asked for the
run is in it.
"""

from __future__ import annotations

from dataclasses import replace

from engine.access import channels
from engine.access.channels import Ruling, Standing
from engine.access.policy import Actor
from engine.conversations import Unasked
from engine.definition.kinds.message import channel_is_value
from engine.definition.model import Step
from engine.runtime import Runtime
from engine.steps.outcome import Failed, Outcome, Posted
from storage.records import ExecutionRecord, Json


def asks_slack(step: Step) -> bool:
    """Whether doing this step may ask Slack something, which nobody does while a run is locked."""
    return channel_is_value(step)


def checked(rt: Runtime, execution: ExecutionRecord, outcome: Outcome) -> Outcome:
    """The outcome of a step, where that is a message judged by who is in its channel now.

    A clear no fails the step. Where Slack does not say, the message is kept, and not posted.
    """
    if not isinstance(outcome, Posted) or not outcome.by_value:
        return outcome
    found = _ruling(rt, execution, outcome.channel or "")
    if found.standing is Standing.UNKNOWN:
        return replace(outcome, unposted=found.why)
    return outcome if found.allowed else Failed("channel_not_allowed", found.why)


def why_not(rt: Runtime, execution: ExecutionRecord, said: Json) -> str:
    """Why a message is not to be posted now, "" where it is; `said` is what its event says."""
    if said.get("unposted"):
        return str(said["unposted"])
    channel = str(said.get("channel") or "")
    if said.get("by_value", True):
        return _ruling(rt, execution, channel).why
    try:
        return channels.outside(rt, channel)
    except Unasked as trouble:
        return str(trouble)


def _ruling(rt: Runtime, execution: ExecutionRecord, channel: str) -> Ruling:
    """Judged for who asked for the run. The run's own channel was judged when it was asked for, and is its card's."""
    if channel == (execution.incident or {}).get("channel"):
        return Ruling(Standing.IN)
    return channels.ruling(rt, Actor(execution.requester), channel)
