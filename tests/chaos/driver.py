"""A process that runs everything of one case and can be told where to die. It forks one for every line it is given.

Run as a program: reads a JSON object a line ({url, folder, port, case, slugs, worker, known, dead, failpoint}) and
answers each with {"code": the exit code, "said": what the process wrote}.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "engine"))

import scenarios

from engine import boot, failpoints
from engine.config import settings
from engine.config.secrets import SecretStore
from engine.egress import Egress, Policy
from engine.orchestration import run_phases
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from engine.worker import worker_process
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import database, workers

PATIENCE_S = 30
SHORT_CLEANUP_MS = 300
_TLS = ssl.create_default_context()  # building one takes longer than all the rest


def run(spec: dict[str, Any]) -> None:
    """Everything of a case, from wherever the one before left it to its end; dies at `failpoint`."""
    environment = {
        "DATABASE_URL": spec["url"], "RUNBOOKS_DIR": spec["folder"], "EGRESS_ALLOW": f"127.0.0.1:{spec['port']}",
    }  # fmt: skip
    loaded = settings.load(environment, Path(spec["folder"]))
    rt = boot.open_engine(loaded)
    if "late-cleanup" in spec["slugs"]:
        run_phases.CLEANUP_MS = SHORT_CLEANUP_MS
    redactor = Redactor()
    egress = Egress(Policy(loaded.egress_allow, loaded.own_endpoints), ssl_context=_TLS)
    if spec["worker"] not in spec["known"]:
        with database.transaction():
            workers.register(rt.workspace_id, spec["worker"])
    for each in spec["dead"]:
        worker_process.declare_dead(each)
    failpoints.arm(spec["failpoint"])
    runner = Runner(rt, spec["worker"], Tools(egress, SecretStore({}, None, redactor), redactor))
    sweeper = Sweeper(rt, lambda due: [runner.advance(each) for each in due], grace_ms=0)
    runs = [scenarios.ask(rt, slug, spec["case"]).id for slug in spec["slugs"]]
    until = time.monotonic() + PATIENCE_S
    while not all(scenarios.is_over(rt, scenarios.executions.find(rt, each)) for each in runs):
        assert time.monotonic() < until, [scenarios.executions.view(rt, each) for each in runs]
        for each in runs:
            runner.advance(each)
            scenarios.act(rt, each)
        runner.recover_strays()
        sweeper._hinted.clear()  # a hint it gave is not on its way: it was acted on
        sweeper.sweep()


def serve(act: Callable[[dict[str, Any]], None]) -> None:
    """Act for each line of standard input, in a process of its own, and answer it."""
    for line in sys.stdin:
        print(json.dumps(_fork(act, json.loads(line))), flush=True)


def _fork(act: Callable[[dict[str, Any]], None], spec: dict[str, Any]) -> dict[str, Any]:
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(sink, 2)
        os.close(source)
        try:
            act(spec)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "said": said}


if __name__ == "__main__":
    serve(run)
