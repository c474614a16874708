"""A process that runs one run and tells of it in Slack, as a worker does, and can be told where to die.

Run as a program: as `driver.py`, with {environment, folder, slug, case, channel, opens, worker, dead, failpoint} a
line, where `opens` is a channel to make an incident of.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "engine"))

import driver
from harness import CAROL

from bot.slack.client import web_client
from bot.slack.conversations import SlackConversations
from bot.slack.directory import Directory
from bot.slack.projector.pacing import Pace
from bot.slack.projector.projector import Projector
from engine import boot, failpoints
from engine.catalog import notices
from engine.config import settings
from engine.orchestration import incidents
from engine.orchestration.admission import Wanted
from engine.queries import projection
from engine.runs import executions
from engine.runtime import Runtime
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from engine.worker import worker_process
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import database, workers

PATIENCE_S = 60


def run(spec: dict[str, Any]) -> None:
    """Go on from wherever the one before left it, until the run has come as far as it does and all of it is told."""
    loaded = settings.load(spec["environment"], Path(spec["folder"]))
    opened = boot.open_engine(loaded)
    rt = replace(opened, conversations=SlackConversations(web_client(loaded)))
    for each in spec["dead"]:
        worker_process.declare_dead(each)
    with database.transaction():
        workers.register(rt.workspace_id, spec["worker"])
    tools: Tools = boot.make_tools(rt, Redactor())
    runner = Runner(rt, spec["worker"], tools)
    sweeper = Sweeper(rt, lambda due: [runner.advance(each) for each in due], grace_ms=0)
    projector = Projector(rt, web_client(loaded), spec["worker"], Pace(lambda: 1000 * time.monotonic()))
    incident = {"case": spec["case"], **({"channel": spec["channel"]} if spec["channel"] else {})}
    wanted = Wanted(spec["slug"], {}, "test", reason="to see it told", incident=incident)
    failpoints.arm(spec["failpoint"])
    directory = Directory(rt, web_client(loaded))
    directory.refresh_groups()
    who = directory.identify(CAROL.user_id)
    run_id = executions.request(rt, who, wanted, key=spec["case"]).execution.id
    if spec["opens"]:
        incidents.open_incident(rt, who, spec["opens"])
    until = time.monotonic() + PATIENCE_S
    assert projector.hold()
    while not _is_told(rt, run_id):
        assert time.monotonic() < until, executions.view(rt, run_id)
        runner.advance(run_id)
        sweeper.sweep()
        projector.round()
        time.sleep(0.02)
    projection.release_lease(rt, spec["worker"])


def _is_told(rt: Runtime, run_id: str) -> bool:
    now = executions.find(rt, run_id)
    come_far = now.status.ended or now.overran_at is not None
    return come_far and not projection.outdated_cards(rt, 1) and not notices.pending(rt)


if __name__ == "__main__":
    driver.serve(run)
