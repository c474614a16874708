"""Parameters that nothing reads, and comparisons with values that they cannot have."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from engine.definition.model import Runbook
from engine.definition.placed import dry_run_of, every_step, readers
from engine.definition.schema import Finding, Path
from engine.expressions import has_template, references
from engine.expressions.conditions import sources
from engine.expressions.grammar import parse
from engine.text.words import did_you_mean
from storage.records import Json

_SAME = frozenset({"eq", "ne"})


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Parameters that nobody needs to fill in, and values of an `enum` that are not in it."""
    yield from _unused(runbook)
    enums = {
        name: rules["enum"]
        for name, rules in runbook.parameters.get("properties", {}).items()
        if isinstance(rules.get("enum"), list)
    }
    for placed in every_step(runbook) if enums else ():
        for path, value, is_condition in readers(placed):
            yield from _impossible(path, value, enums) if is_condition else ()


def _unused(runbook: Runbook) -> Iterator[Finding]:
    chains = set(references(dict(runbook.outputs)))
    chains |= references(runbook.concurrency.group) if runbook.concurrency else set()
    for placed in (each for step in every_step(runbook) for each in (step, *dry_run_of(step))):
        for _, value, is_condition in readers(placed):
            chains |= references(value, "expression" if is_condition else "template")
    if ("params",) in chains:
        return
    read = {chain[1] for chain in chains if chain[0] == "params"}
    for name in runbook.parameters.get("properties", {}):
        if name not in read:
            message = f"nothing reads the parameter `{name}`: whoever fills it in is asked for nothing"
            yield Finding(("parameters", "properties", name), message, at_key=True, rule="unused-parameter")


def _impossible(path: Path, condition: Json, enums: dict[str, list[Json]]) -> Iterator[Finding]:
    for name, value in _compared(condition):
        if name in enums and value not in enums[name]:
            words = [each for each in enums[name] if isinstance(each, str)]
            near = did_you_mean(value, words) if isinstance(value, str) else ""
            message = f"`params.{name}` is compared with {value!r}, which its `enum` does not have{near}"
            yield Finding(path, message, rule="impossible-comparison")


def _compared(condition: Json) -> Iterator[tuple[str, Json]]:
    """The parameters that a condition compares with a value that is written out, each with that value."""
    for _, source, is_expression in sources(condition):
        if is_expression and isinstance(source, str):
            tree = parse(source, "expression")
            for compare in (tree, *tree.find_all(nodes.Compare)):
                yield from _in_expression(compare) if isinstance(compare, nodes.Compare) else ()
    yield from _in_data(condition)


def _in_expression(compare: nodes.Compare) -> Iterator[tuple[str, Json]]:
    name = _parameter(compare.expr)
    for operand in compare.ops if name else ():
        if operand.op in _SAME and isinstance(operand.expr, nodes.Const):
            yield name, operand.expr.value


def _in_data(condition: Json) -> Iterator[tuple[str, Json]]:
    if not isinstance(condition, dict):
        return
    for part in (*condition.get("all", ()), *condition.get("any", ()), condition.get("not")):
        yield from _in_data(part)
    names = str(condition.get("field", "")).split(".")
    value, operator = condition.get("value"), condition.get("operator")
    values = value if operator == "in" and isinstance(value, list) else [value] if operator in _SAME else []
    if len(names) == 2 and names[0] == "params":
        yield from ((names[1], each) for each in values if not (isinstance(each, str) and has_template(each)))


def _parameter(node: nodes.Expr) -> str:
    """The name of the parameter that an expression is, "" for any other."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "params":
        return node.attr
    return ""
