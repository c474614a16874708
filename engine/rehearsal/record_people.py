"""What people said to a gate or a manual step of a real run, as a case answers it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from storage.records import Json

PERSON = re.compile(r"[UW][A-Z0-9]{2,20}")


def answer(notes: list[str], path: str, asked: Mapping[str, Json], events: Sequence[Json]) -> Json:
    """The answer to one asking of the evidence; what it cannot hold is added to `notes`."""
    if asked["status"] == "CANCELLED":
        return cancelled(events)
    return _of_gate(notes, path, asked) if "votes" in asked else _by_hand(asked)


def cancelled(events: Sequence[Json]) -> Json:
    """Who ended the run while something was asked, where somebody did."""
    by = next((event["actor"] for event in events if event["kind"] == "cancel_requested"), None)
    return {"cancel": by} if by is not None and PERSON.fullmatch(by) else {"expire": True}


def _of_gate(notes: list[str], path: str, gate: Mapping[str, Json]) -> Json:
    for vote in gate["votes"]:
        if vote["decision"] == "REJECT":
            return {"reject": vote["person"], **({"comment": vote["comment"]} if vote["comment"] else {})}
    if not gate["votes"] or gate["status"] != "APPROVED":
        return {"expire": True}
    decided = gate["votes"][-1]
    alike = [each for each in gate["votes"] if _written(each) == _written(decided)]
    comments = {each["comment"] for each in alike}
    if len(comments) > 1:
        notes.append(f"those who approved `{path}` did not say the same beside it: only one comment is here")
    comment, said = next((each for each in sorted(comments) if each), ""), decided["answers"]
    return {
        "approve": [each["person"] for each in alike],
        **({"comment": comment} if comment else {}),
        **({"answers": said} if said else {}),
    }


def _written(vote: Mapping[str, Json]) -> str:
    return json.dumps(vote["answers"] or {}, sort_keys=True)


def _by_hand(task: Mapping[str, Json]) -> Json:
    if task["status"] not in ("DONE", "FAILED"):
        return {"expire": True}
    said = {"note": task["note"], "answers": task["answers"]}
    word = "done" if task["status"] == "DONE" else "could_not"
    return {word: task["ended_by"], **{key: value for key, value in said.items() if value}}
