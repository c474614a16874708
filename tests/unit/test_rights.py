"""No service of the engine changes anything for somebody without asking, in the same transaction, whether they may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "engine"
OPENERS = {"change", "transaction", "committing"}
"""What opens a transaction, and does not ask by itself."""
NO_DEED = {
    "children.cancel_orphans": "the bot follows up on a cancel that was asked about",
    "evidence.bundle": "it reads, and asks just before",
    "live_plans._note_answers": "it notes what came of calls that were asked about",
    "sync._rehearsed": "it notes what rehearsals came to, of the sync that was asked about",
}


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def named(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def unasked(function: ast.FunctionDef) -> Iterator[int]:
    """The lines at which this function opens a transaction in which nobody asks."""
    for block in ast.walk(function):
        if not isinstance(block, ast.With):
            continue
        for opened in (call for item in block.items for call in calls(item.context_expr) if named(call) in OPENERS):
            by_request = any(named(each) == "RequestedAction" for each in calls(opened))
            inside = any(
                named(each) in ("authorise", "must_still") for statement in block.body for each in calls(statement)
            )
            if not (by_request or inside):
                yield block.lineno


def test_whoever_acts_is_asked_about_in_the_transaction_that_acts() -> None:
    """A service that is told who acts either gives the requested action along or authorises inside."""
    found = {
        f"{path.stem}.{function.name}": list(unasked(function))
        for path in ENGINE.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and "actor" in {each.arg for each in function.args.args}
    }
    assert {name for name, lines in found.items() if lines} == set(NO_DEED)
    assert len(found) > 30
