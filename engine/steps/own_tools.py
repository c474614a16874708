"""What a process that is no worker makes a few calls with: guarded as a worker's, and let go of behind them."""

from __future__ import annotations

from engine.egress import Egress, Policy
from engine.runtime import Runtime
from engine.steps.perform import Tools


def open_tools(rt: Runtime) -> Tools:
    """Tools of one's own, to be closed by whoever opened them."""
    redactor = rt.redactor()
    policy = Policy(allowed=rt.settings.egress_allow, own=rt.settings.own_endpoints)
    return Tools(Egress(policy), rt.secrets(redactor), redactor, rt.received)
