"""The Home tab, drawn when somebody opens it."""

from __future__ import annotations

from bot.slack.desk import Desk
from bot.slack.views.home import home_view
from engine import catalog, executions
from engine.access import Action, authorise


def publish(desk: Desk, user: str) -> None:
    """Show somebody what is going on now. Raises EngineError, and as Slack does."""
    authorise(desk.rt, desk.directory.identify(user), Action.VIEW, None)
    open_runs = executions.recent(desk.rt, open_only=True, limit=20)
    desk.client.views_publish(user_id=user, view=home_view(open_runs, catalog.listing(desk.rt), desk.command))
