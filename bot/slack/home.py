"""The Home tab, drawn when somebody opens it, looks for something in it, or decides a gate from it."""

from __future__ import annotations

from dataclasses import replace

from bot.slack.app_context import AppContext
from bot.slack.ids import Action as Click
from bot.slack.payload_values import BadValue, HomeState, decode
from bot.slack.views.home import ANY, DRAFTS, GATES, RUNS, HomeContent, home_view
from engine.access.policy import Action, Actor, FreezeScope, authorise, ruled, verdict
from engine.catalog import catalog, renewals
from engine.catalog.renewals import Approval
from engine.runs import executions, freezing, voting
from engine.runtime import Runtime
from storage.records import Filter

HOUR_MS = 3_600_000
_FIELDS = {Click.HOME_TEXT: "text", Click.HOME_TEAM: "team", Click.HOME_TAG: "tag", Click.HOME_STATUS: "status"}
_LONGEST = 100


def publish(ctx: AppContext, user: str, state: HomeState | None = None) -> None:
    """Show somebody what waits for them, what runs, and what fits what they look for.

    Raises EngineError, and as Slack does.
    """
    state, rt = state or HomeState(), ctx.rt
    actor = ctx.directory.identify(user)
    authorise(rt, actor, Action.VIEW, None)
    everything = catalog.listing(rt)
    found = renewals.listing(rt, state.text, state.tag or None, team=state.team or None, status=state.status or None)
    may_run = catalog.startable(rt, actor, found)
    content = HomeContent(
        waiting=voting.waiting_for(rt, actor, GATES + 1),
        mine=executions.recent(rt, Filter(requester=user), RUNS),
        lately=executions.recent(rt, Filter(within_ms=HOUR_MS), RUNS),
        found=sorted(found, key=lambda runbook: runbook.slug not in may_run),
        may_run=may_run,
        teams=sorted({runbook.team for runbook in everything if runbook.team}),
        drafts=catalog.drafts(rt, actor, DRAFTS + 1),
        renewals=_renewals(rt, actor),
        may_stop=verdict(rt, actor, Action.FREEZE, FreezeScope("everything")).allowed,
        frozen=freezing.listing(rt, actor),
        tags=sorted({tag for runbook in everything for tag in runbook.tags}),
    )
    ctx.client.views_publish(user_id=user, view=home_view(content, state, ctx.command))


def _renewals(rt: Runtime, actor: Actor) -> list[Approval]:
    """What this person may renew; only platform admins are shown it here, as reading all that runs takes a while."""
    may = ruled(rt, actor, Action.APPROVE).allowed
    return renewals.for_person(rt, actor, renewals.due(rt)) if may else []


def looked_for(action: Click, value: str, metadata: str) -> HomeState:
    """What somebody looks for after a filter or the page was changed; `metadata` says what it was before."""
    if action in (Click.HOME_BACK, Click.HOME_PAGE):
        return decode(HomeState, value)
    try:
        before = decode(HomeState, metadata)
    except BadValue:
        before = HomeState()
    return replace(before, page=0, **{_FIELDS[action]: "" if value == ANY else value[:_LONGEST]})
