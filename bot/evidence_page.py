"""The evidence of a run as one page to print, with the evidence file itself in it.

Whatever is seen is made of that data, so that making the page anew says whether it was changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bot import printable
from bot.audit_lines import iso
from engine.queries import evidence
from storage.records import Json

_DATA = re.compile(r'<script type="application/json" id="evidence">(.*?)</script>', re.DOTALL)


def page(found: Json) -> str:
    """The page of an evidence file."""
    run = found["run"]
    about = f"Evidence of {run['id']}: {run['slug']}@{run['number']}, {run['status']}"
    return printable.page(
        about, _parts(found), f'\n<script type="application/json" id="evidence">{_data(found)}</script>'
    )


def check(text: str) -> list[str]:
    """What is wrong with such a page: its data, as of an evidence file, or what is shown of it. Needs nothing else."""
    try:
        found = evidence_in(text)
    except (ValueError, RecursionError):
        return ["the evidence in this page cannot be read: the page was changed after it was made"]
    if found is None:
        return ["this page holds no evidence"]
    wrong = evidence.check(found)
    return wrong or ([] if _shows(found, text) else [_OTHERWISE])


def evidence_in(text: str) -> Json:
    """The evidence that such a page is made of; None where it has none. Raises `ValueError` and `RecursionError`."""
    kept = _DATA.search(text)
    return json.loads(kept[1]) if kept else None


_OTHERWISE = (
    "what this page shows is not what its data says: it was changed, or another release made it, which can be asked"
)


def _shows(found: Json, text: str) -> bool:
    try:
        return page(found) == text
    except (KeyError, TypeError, AttributeError):
        return False


def _data(found: Json) -> str:
    """JSON that ends no element: what HTML would see in it is escaped."""
    return json.dumps(found).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _parts(found: Json) -> Iterator[str]:
    run, book = found["run"], found["runbook"]
    yield printable.table(("", ""), [
        ("Runbook", f"{book['name']} ({run['slug']}@{run['number']})"), ("Version's digest", book["digest"]),
        ("Asked for by", run["requester"]), ("Reason", run["reason"]), ("Team", run["team"]),
        ("Asked for", _time(run["created_at"])), ("Ended", _time(run["ended_at"])), ("Result", run["status"]),
        ("Made", f"{_time(found['made_at'])} by {found['made_by']}"), ("Digest", found["digest"]),
        ("Head of the audit", _json(found["audit"]["proof"]["head"])),
    ])  # fmt: skip
    yield printable.paragraph("All times are in UTC. `runbook check` says whether this file is as it was made.")
    yield printable.heading("Parameters")
    yield printable.pre(_json(run["parameters"], 1))
    if run["error"] is not None:
        yield printable.heading("Error")
        yield printable.pre(_json(run["error"], 1))
    yield from _gates(found["gates"])
    yield from _steps(found["steps"])
    yield printable.heading("Events")
    events = (
        (_time(each["at"]), each["kind"], each["path"], each["actor"], _json(each["data"])) for each in found["events"]
    )
    yield printable.table(("at", "what", "step", "who", "details"), events)
    yield printable.heading("Audit")
    yield printable.table(("number", "at", "who", "what", "details", "hash"), map(_audited, found["audit"]["rows"]))
    yield printable.heading("The version that ran")
    yield printable.pre(str(book["source"]))


def _gates(gates: Iterable[Json]) -> Iterator[str]:
    for gate in gates:
        yield printable.heading(f"Gate {gate['path']}: {gate['status']}")
        yield printable.pre(str(gate["message"]))
        yield printable.paragraph(f"{gate['min_approvals']} needed; what was shown has the digest {gate['digest']}.")
        votes = ((_time(each["at"]), each["person"], each["decision"], each["comment"]) for each in gate["votes"])
        yield printable.table(("at", "who", "vote", "comment"), votes)


def _steps(steps: Iterable[Json]) -> Iterator[str]:
    for step in steps:
        yield printable.heading(f"Step {step['path']} ({step['kind']}): {step['status']}")
        yield printable.paragraph(step["note"]) if step["note"] else ""
        if step["tries"]:
            yield printable.table(
                ("try", "from", "to", "state", "request", "response", "error"), map(_try, step["tries"])
            )


def _try(tried: Json) -> tuple[Any, ...]:
    said = (_json(tried[key], 1) for key in ("request", "response", "error"))
    return (tried["number"], _time(tried["started_at"]), _time(tried["ended_at"]), tried["status"], *said)


def _audited(row: Json) -> tuple[Any, ...]:
    masked = " (parts are masked)" if row.get("masked") else ""
    return (row["seq"], _time(row["at"]), row["actor"], row["action"], f"{_json(row['detail'])}{masked}", row["hash"])


def _json(value: Json, indent: int | None = None) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=indent)


def _time(at: int | None) -> str:
    return "" if at is None else iso(at)
