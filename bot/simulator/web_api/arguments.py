"""Reading a Web API request: which arguments came, and whether the method has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

from bot.simulator.json_value import Json
from bot.simulator.web_api.errors import SlackError

Arguments = dict[str, Json]

_ADDED_BY_SDK = frozenset({"token", "team_id"})
_STRUCTURED = ("blocks", "attachments", "view", "metadata", "files")
_LISTS = ("file_ids", "users", "unfurled_attachments")
_TRUE = ("1", "true", "True")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: arguments from the query, a form or (where the method takes it) JSON, and the token."""

    args: Arguments
    token: str | None


def read(query: str, content_type: str, body: bytes, authorization: str | None, *, takes_json: bool) -> Request:
    """Collects a request's arguments the way Slack does: a token in a JSON body is not read, nor is JSON where a
    method takes only forms. Raises SlackError(invalid_json) for a JSON body that is none."""
    args: Arguments = dict(parse_qsl(query, keep_blank_values=True))
    token = args.pop("token", None)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        sent = _json_object(body) if takes_json else {}
        args |= {name: value for name, value in sent.items() if name != "token"}
    elif kind == "application/x-www-form-urlencoded":
        args |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        token = args.pop("token", token)
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and value:
        token = value.strip()
    return Request(args, token)


def _json_object(body: bytes) -> dict[str, Json]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(value, dict):
        raise SlackError("json_not_object")
    return value


def check(args: Arguments, required: tuple[str, ...], optional: tuple[str, ...], *, strict: bool) -> None:
    """Raises SlackError(invalid_arguments) that names every missing argument and, when strict, every unknown one."""
    messages = [f"[ERROR] missing required field: {name}" for name in required if args.get(name) in (None, "")]
    if strict:
        unknown = [name for name in args if name not in {*required, *optional, *_ADDED_BY_SDK}]
        messages += [f"[ERROR] unknown argument: {name}" for name in unknown]
    nested = [name for name, value in args.items() if isinstance(value, dict | list) and name not in _STRUCTURED]
    messages += [f"[ERROR] must be a string [json-pointer:/{name}]" for name in nested if name not in _LISTS]
    if messages:
        raise SlackError("invalid_arguments", messages)


def parsed(args: Arguments) -> Arguments:
    """The arguments with the JSON that a form carries as text read, and numbers as the text Slack takes them for."""
    return {name: _structure(name, value) if name in _STRUCTURED else _plain(value) for name, value in args.items()}


def _plain(value: Json) -> Json:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _structure(name: str, value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        code = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}.get(name, "invalid_arguments")
        raise SlackError(code, [f"[ERROR] must be valid JSON [json-pointer:/{name}]"]) from None


def truth(value: Json, default: bool = False) -> bool:
    """A boolean argument, which a form carries as 1, 0, true or false."""
    return default if value is None else value is True or value in _TRUE


def whole(args: Arguments, name: str, default: int) -> int:
    """A whole-number argument. Raises SlackError(invalid_arguments) when it is none."""
    try:
        return int(args.get(name, default))
    except (TypeError, ValueError):
        raise SlackError("invalid_arguments", [f"[ERROR] must be an integer [json-pointer:/{name}]"]) from None
