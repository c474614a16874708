"""Modals and Home tabs: which are open, for whom, in what order."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from bot.simulator.directory import APP_ID, BOT_ID, TEAM_ID
from bot.simulator.feed import Feed
from bot.simulator.form import initial_values
from bot.simulator.json_value import Json
from bot.simulator.messages import with_ids

Values = dict[str, dict[str, Json]]

STACK_LIMIT = 3
"""Views a stack may hold. Source: Slack's guide to modals."""


class ViewRefused(Exception):
    """The view cannot be opened or changed; the text is Slack's name for why."""


@dataclass(slots=True)
class OpenView:
    """One view. `origin` is the channel in which the person was when it opened, for what the page shows after."""

    user: str
    view: dict[str, Json]
    values: Values = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.view["id"])

    def payload(self) -> dict[str, Json]:
        """The view as Slack sends and returns it."""
        return self.view | {"state": {"values": self.values}}


class Views:
    """Every view that can still be reached. A person has one stack of modals, the newest last, and one Home tab."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._stacks: dict[str, list[OpenView]] = {}
        self._homes: dict[str, OpenView] = {}

    def stack(self, user: str) -> list[OpenView]:
        return self._stacks.get(user, [])

    def home(self, user: str) -> OpenView | None:
        return self._homes.get(user)

    def find(self, view_id: str) -> OpenView | None:
        return next((each for each in self._all() if each.id == view_id), None)

    def find_external(self, external_id: str) -> OpenView | None:
        return next((each for each in self._all() if external_id and each.view["external_id"] == external_id), None)

    def open(self, user: str, view: dict[str, Json]) -> OpenView:
        """Opens a new stack of modals in place of what the person had open."""
        self._stacks[user] = []
        return self._add(user, view)

    def push(self, user: str, view: dict[str, Json]) -> OpenView:
        """Puts a modal on top. Raises ViewRefused when nothing is open or the stack is full."""
        if not self.stack(user):
            raise ViewRefused("not_found")
        if len(self.stack(user)) >= STACK_LIMIT:
            raise ViewRefused("push_limit_reached")
        return self._add(user, view)

    def update(self, old: OpenView, view: dict[str, Json]) -> OpenView:
        """Shows other content in an open view; what was filled in stays where block and action keep their ids."""
        ids = {key: old.view[key] for key in ("id", "root_view_id", "previous_view_id")}
        old.view = self._full(view) | ids
        fresh = initial_values(old.view["blocks"])
        old.values = {
            block_id: {action: old.values.get(block_id, {}).get(action, value) for action, value in actions.items()}
            for block_id, actions in fresh.items()
        }
        self._tell(old)
        return old

    def publish_home(self, user: str, view: dict[str, Json]) -> OpenView:
        """Sets a person's Home tab."""
        if user in self._homes:
            return self.update(self._homes[user], view)
        full = self._full(view)
        home = OpenView(user, full | {"root_view_id": full["id"]}, initial_values(full["blocks"]))
        self._homes[user] = home
        self._tell(home)
        return home

    def close(self, user: str, *, all_of_them: bool = False) -> None:
        """Takes the top modal away, or the whole stack."""
        del self._stacks[user][0 if all_of_them else -1 :]
        self._feed.publish("views", user=user, stack=[each.payload() for each in self.stack(user)])

    def _all(self) -> list[OpenView]:
        return [*(view for stack in self._stacks.values() for view in stack), *self._homes.values()]

    def _add(self, user: str, view: dict[str, Json]) -> OpenView:
        self.check_external(view, None)
        stack = self._stacks[user]
        full = self._full(view)
        full |= {
            "root_view_id": stack[0].id if stack else full["id"],
            "previous_view_id": stack[-1].id if stack else None,
        }
        opened = OpenView(user, full, initial_values(full["blocks"]))
        stack.append(opened)
        self._tell(opened)
        return opened

    def check_external(self, view: dict[str, Json], own: OpenView | None) -> None:
        """An external_id stands for one view of the team. Raises ViewRefused when another has it."""
        if self.find_external(view.get("external_id") or "") not in (None, own):
            raise ViewRefused("duplicate_external_id")

    def _full(self, view: dict[str, Json]) -> dict[str, Json]:
        defaults = {
            "team_id": TEAM_ID,
            "app_id": APP_ID,
            "app_installed_team_id": TEAM_ID,
            "bot_id": BOT_ID,
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "previous_view_id": None,
            "title": None,
            "submit": None,
            "close": None,
            "clear_on_close": False,
            "notify_on_close": False,
            "submit_disabled": False,
        }
        stamp = {"id": f"V{secrets.token_hex(5).upper()}", "hash": f"{time.time():.6f}.{secrets.token_hex(4)}"}
        return defaults | view | stamp | {"blocks": with_ids(view["blocks"])}

    def _tell(self, opened: OpenView) -> None:
        if opened.view["type"] == "home":
            self._feed.publish("home", user=opened.user, view=opened.payload())
        else:
            stack = [each.payload() for each in self.stack(opened.user)]
            self._feed.publish("views", user=opened.user, stack=stack)
