"""A request that was done before and is made again: its answer is told only to who may still do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.api.caller import Caller
from engine import sight
from engine.access import Action
from storage.records import AnswerRecord


def must_be_allowed(caller: Caller, action: Action, path: Mapping[str, str], body: bytes, before: AnswerRecord) -> None:
    """Raises as the operation would today: `NotFound` for what may not be seen, `NotAllowed` for what may not be done.

    What it was done to stands in the address, or else in the body or in the answer.
    """
    asked, told = _object(body), _object(before.body)
    run = path.get("execution", "")
    slug = path.get("runbook") or asked.get("runbook") or (told.get("id") if action is Action.EDIT else None) or ""
    sight.still(caller.rt, caller.actor, action, slug=str(slug), run=run, step=path.get("step", ""))
    begun = told.get("execution", told)
    if isinstance(begun, dict) and str(begun.get("id", "")).startswith("R-"):
        sight.execution(caller.rt, caller.actor, begun["id"])


def _object(text: bytes | str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
