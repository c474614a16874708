"""The API's description as a page: made of the OpenAPI document, without a script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "page" / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(document: Mapping[str, Any], base: str) -> str:
    """The page for an OpenAPI document; `base` is the address that its paths follow."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            operation = _operation(method, path, found)
            operation["example"] = _example(operation, base, document["components"]["schemas"])
            groups.setdefault(found["tags"][0], []).append(operation)
    models = {name: list(_fields(each)) for name, each in document["components"]["schemas"].items()}
    about = document["info"]
    return _PAGES.get_template("reference.html").render(about=about, base=base, groups=groups, models=models)


def _operation(method: str, path: str, found: Mapping[str, Any]) -> dict[str, Any]:
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": found["operationId"],
        "method": method.upper(),
        "path": path,
        "about": found.get("description", ""),
        "parameters": [
            {**each, "type": _type(each["schema"]), "about": each.get("description", "")}
            for each in found.get("parameters", ())
        ],
        "body": _type(body) if body else "",
        "answers": [
            {"status": status, "about": each["description"], "type": _content(each.get("content", {}))}
            for status, each in sorted(found["responses"].items())
        ],
    }


def _example(operation: Mapping[str, Any], base: str, schemas: Mapping[str, Any]) -> str:
    """The operation as it is typed in a shell, with a body of what it needs."""
    address = re.sub(r"\{(\w+)\}", lambda part: str(_SAMPLES.get(part[1], part[1])), str(operation["path"]))
    method = "" if operation["method"] == "GET" else f" -X {operation['method']}"
    lines = [f'curl{method} "$RUNBOOK_URL{base}{address}"', '  -H "Authorization: Bearer $RUNBOOK_TOKEN"']
    if operation["body"]:
        body = json.dumps(_sample(operation["body"], schemas), ensure_ascii=False)
        lines += ['  -H "Content-Type: application/json"', f"  -d '{body}'"]
    return " \\\n".join(lines)


def _sample(model: str, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """What a body of this model needs, and of the rest what a reader would most likely send."""
    schema = schemas.get(model, {})
    required, known = schema.get("required", ()), schema.get("properties", {})
    return {name: _SAMPLES.get(name, "…") for name in known if name in required or name in _USUAL}


_SAMPLES: Mapping[str, Any] = {
    "execution_id": "R-7K2M9Q", "run": "R-7K2M9Q", "runbook": "restart-checkout", "runbook_id": "restart-checkout",
    "slug": "restart-checkout", "step": "restart", "path": "restart", "number": 3, "version": 3, "incident_id": 7,
    "parameters": {"service": "checkout"}, "reason": "it hangs", "comment": "go ahead", "note": "uptime is 2 minutes",
    "choice": "done", "to": "U0BOB0001", "channel": "C0INC0001", "title": "Checkout is slow", "severity": "sev1",
    "token": "tk-1", "key": "deploy-checkout", "fields": {"service": "checkout"},
}  # fmt: skip
_USUAL = ("parameters", "reason", "comment", "title", "severity")


def _content(content: Mapping[str, Any]) -> str:
    return next((_type(each.get("schema", {})) for each in content.values()), "")


def _fields(schema: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        must = "" if name in required else "may be left out"
        yield {"name": name, "type": _type(each), "about": each.get("description", ""), "must": must}


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: `string`, `Execution[]`, `integer | null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for choice in ("anyOf", "allOf", "oneOf"):
        if choice in schema:
            return " | ".join(_type(each) for each in schema[choice])
    if "enum" in schema:
        return " | ".join(f'"{each}"' for each in schema["enum"])
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}[]"
    return str(schema.get("format") or schema.get("type") or "any")
