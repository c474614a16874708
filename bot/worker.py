"""The worker process: the engine's worker, and the projector that shows executions in Slack."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading

from bot.slack.client import web_client
from bot.slack.conversations import connected
from bot.slack.projector.projector import Projector
from engine import boot, received_secrets
from engine.config import audit_keys, file_descriptors
from engine.config.settings import Settings
from engine.runtime import Runtime
from engine.secret_watch import SecretWatch
from engine.text.redaction import Redactor
from engine.worker.worker_process import Worker

log = logging.getLogger(__name__)

WORKER_ID_VARIABLE = "RUNBOOK_WORKER_ID"
"""Set by `runbook up`, which can then prove this process's death by its id."""


def run(settings: Settings, redactor: Redactor) -> int:
    """Work until told to stop. Returns the process's exit code: 0, or 1 when it has to be started anew."""
    file_descriptors.raise_limit()
    rt = connected(boot.open_engine(settings))
    audit_keys.of(settings)  # a key that cannot be read is found here, not by the first row that is to be sealed
    tools = boot.make_tools(rt, redactor)
    watch = SecretWatch(rt, redactor)
    watch.look()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker_id = os.environ.get(WORKER_ID_VARIABLE) or f"w-{secrets.token_hex(6)}"
    worker = Worker(rt, worker_id, tools)
    worker.start()
    learning = (settings, redactor, tools.received, stop)
    threading.Thread(target=received_secrets.watch, args=learning, daemon=True).start()
    watching = threading.Thread(target=watch.run, args=(stop,), name="secrets", daemon=True)
    watching.start()
    projector = _start_projector(rt, worker_id, stop)
    log.info("worker ready")
    code = _watch(worker, stop)
    stop.set()
    worker.stop()
    watching.join(timeout=5)
    if projector is not None:
        projector.join(timeout=5)
    return code


def _start_projector(rt: Runtime, worker_id: str, stop: threading.Event) -> threading.Thread | None:
    """Show executions from this process whenever no other does. The lease bears the worker's id and dies with it."""
    if rt.settings.slack_mode == "none":
        return None
    projector = Projector(rt, web_client(rt.settings), holder=worker_id)
    thread = threading.Thread(target=projector.run, args=(stop,), name="projector", daemon=True)
    thread.start()
    return thread


def _watch(worker: Worker, stop: threading.Event) -> int:
    while not stop.wait(0.5):
        trouble = worker.failed()
        if trouble is not None:
            log.error("this worker ends, because %s", trouble)
            return 1
    return 0
