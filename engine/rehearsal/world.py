"""The world of a rehearsal: a deployment in memory, in which the runbooks beside each other are approved.

It takes the place of this process's database, so that it belongs into a process of its own, and has one thread.
"""

from __future__ import annotations

import base64
import itertools
import os
import random
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.catalog import catalog
from engine.config import settings
from engine.conversations import Conversation
from engine.definition import codec, parameter_options
from engine.definition.model import Runbook
from engine.rehearsal.grpc_stubs import StubbedTools
from engine.rehearsal.stubs import StubbedEgress
from engine.runtime import Runtime
from engine.steps.outcome import Outcome
from engine.steps.perform import Claim
from engine.text.redaction import Redactor
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import database, executions, hostclock, memory, people, runbooks, steps, workers
from storage.people_records import GroupRecord
from storage.states import VersionStatus

_WORKER = "rehearsal"
SOMEBODY = "U0SOMEBODY"
"""Who sees to what nobody in particular is named for."""
_NOWHERE = Path(os.devnull)


class Placeholders:
    """A source that has every secret, each of no worth."""

    kind = "rehearsal"

    def read(self, name: str) -> str:
        """A value that is told from others and is no word."""
        return f"placeholder-of-{name}-4f1e9c"

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Nothing: each is known once it is asked for."""
        return {}, {}


class OpenChannels:
    """Every channel is there and open, and everybody is in it."""

    def find(self, channel: str, _fresh_s: float = 0.0, /) -> Conversation:
        """The channel, whatever it is called."""
        return Conversation(channel, private=False)

    def has(self, _channel: str, _person: str, /) -> bool:
        """Yes."""
        return True


class Clock:
    """Epoch milliseconds that stand still until somebody turns them on."""

    def __init__(self) -> None:
        self.time = 0

    def __call__(self) -> int:
        """Return what it shows."""
        return self.time

    def tick(self, ms: int) -> None:
        """Let time pass."""
        self.time += max(0, ms)


@dataclass(frozen=True, slots=True)
class Published:
    """A runbook's file, read."""

    runbook: Runbook
    source: str


class Stage(Runner):
    """A worker that tells the stubs which step calls."""

    egress: StubbedEgress

    def _perform(self, claim: Claim) -> Outcome:
        # Nothing that is sent says for whom; one thread does one thing after the other.
        self.egress.script.step = full_path(claim.execution.parent_step, claim.step_run.path)
        self.egress.script.step_id = claim.step_run.step_id
        return super()._perform(claim)


def full_path(parent_step: int | None, path: str) -> str:
    """The path of a step as rehearsals write it: below the step that started its run, if one did."""
    with database.reading():
        while parent_step is not None:
            starter = steps.by_id(parent_step)
            assert starter is not None
            path = f"{starter.path}/{path}"
            parent = executions.by_id(starter.execution_id)
            parent_step = parent.parent_step if parent is not None else None
    return path


class World:
    """A deployment in memory. `begin` makes it new for each case."""

    def __init__(self, rt: Runtime, clock: Clock, snapshot: memory.Snapshot) -> None:
        self.rt = rt
        self.clock = clock
        self.redactor = Redactor()
        self.egress = StubbedEgress(clock.tick)
        tools = StubbedTools(self.egress, rt.secrets(self.redactor), self.redactor)
        tools.answer_by(lambda: self.egress.script, clock.tick)
        self.stage = Stage(rt, _WORKER, tools)
        self.stage.egress = self.egress
        self._snapshot = snapshot
        self.sweeper = Sweeper(rt, lambda _due: None)  # what is due is looked up by whoever plays: it repeats no hint
        self.numbers = itertools.count(1)
        self._groups: list[GroupRecord] = []

    def begin(self, published: Iterable[Published], cast: Iterable[str], at: int) -> None:
        """Start anew: these runbooks are approved, and everybody of the cast may do everything with them."""
        memory.restore(self._snapshot)
        catalog.forget_definitions()
        self.clock.time = at
        random.seed(0)  # pauses before retries are drawn by lot, and are to be the same each time
        everybody, known = sorted({*cast, SOMEBODY}), list(published)
        teams = {each.runbook.team for each in known if each.runbook.team}
        groups = {name for each in known for name in _groups_in(each.runbook)}
        self._groups = [GroupRecord(*_named(name), frozenset(everybody), at) for name in sorted(groups)]
        policy: dict[str, Any] = {"platform_admins": everybody, "responders": everybody}
        policy["teams"] = {team: {"admins": everybody, "members": everybody} for team in sorted(teams)}
        with database.transaction():
            workers.register(self.rt.workspace_id, _WORKER)
            people.save_policy(self.rt.workspace_id, "rehearsal", policy)
            for each in known:
                self._approve(each)
        self.beat()

    def beat(self) -> None:
        """Have the worker live on, and be told of the groups anew."""
        with database.transaction():
            workers.heartbeat(_WORKER)
            people.remember_groups(
                self.rt.workspace_id,
                [GroupRecord(each.group_id, each.handle, each.members, self.clock.time) for each in self._groups],
            )

    def _approve(self, each: Published) -> None:
        canonical = codec.canonical(parameter_options.without(each.runbook))
        about = {
            "slug": each.runbook.id, "name": each.runbook.name, "description": each.runbook.description,
            "team": each.runbook.team, "tags": list(each.runbook.tags), "risk": each.runbook.risk, "source_path": None,
        }  # fmt: skip
        new = {
            "digest": codec.digest(canonical), "definition": canonical, "source": each.source, "author": None,
            "author_email": None, "source_commit": None, "note": "",
        }  # fmt: skip
        added = runbooks.add_version(self.rt.workspace_id, about, new)
        runbooks.move_version(added, VersionStatus.APPROVED, "rehearsal")


@contextmanager
def opened() -> Iterator[World]:
    """A world in the place of this process's database, which is closed afterwards."""
    clock = Clock()
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    said = settings.load({"SECRET_KEY": key}, _NOWHERE)
    memory.open_in_memory()
    try:
        with database.transaction():
            hostclock.keep()
            workspace = people.the_workspace()
        database.use_clock(clock)
        rt = Runtime(said, workspace.id, lambda _ids: None, OpenChannels(), (Placeholders(),))
        yield World(rt, clock, memory.snapshot())
    finally:
        database.use_clock(None)
        database.close_database()
        catalog.forget_definitions()


def _groups_in(runbook: Runbook) -> set[str]:
    found: set[str] = set()
    for step in runbook.by_id.values():
        asked = step.with_.get("approvers") or step.with_.get("assignees") or {}
        found |= set(asked.get("groups", ()))
        found |= {each["group"] for each in asked.get("minima", ()) if "group" in each}
    return found


def _named(group: str) -> tuple[str, str]:
    """A group's id and handle; one of them is made up."""
    return (group, group.lower()) if group.startswith("S") else (f"S{group.upper()}", group)
