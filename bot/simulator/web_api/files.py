"""files.*: the two-step upload, and the stored files."""

from __future__ import annotations

import secrets

from bot.simulator.json_value import Json
from bot.simulator.web_api.arguments import Arguments, whole
from bot.simulator.web_api.chat import channel_for
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace, bot_message

MOST_BYTES = 20_000_000
_SHOWN = ("id", "name", "title", "size", "url_private", "mimetype", "alt_txt")


def mimetype(data: bytes) -> str:
    """A PNG is one; of everything else only the bytes are known."""
    return "image/png" if data.startswith(b"\x89PNG\r\n") else "application/octet-stream"


def get_upload_url(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Announces a file and says where to put its bytes."""
    length = whole(args, "length", 0)
    if length <= 0:
        raise SlackError("invalid_arguments", ["[ERROR] must be more than 0 [json-pointer:/length]"])
    if length > MOST_BYTES:
        raise SlackError("file_upload_size_restricted")
    file_id = f"F{secrets.token_hex(5).upper()}"
    described = {"name": str(args["filename"]), "size": length, "alt_txt": str(args.get("alt_txt") or "")}
    ws.files[file_id] = {"id": file_id, **described, "data": None, "shared": False}
    return {"upload_url": f"{ws.url}/upload/{file_id}", "file_id": file_id}


def complete_upload(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Shares uploaded files, in a channel or thread when one is named."""
    files = [_uploaded(ws, each) for each in args["files"]]
    shown = [{name: each[name] for name in _SHOWN} for each in files]
    if args.get("channel_id"):
        channel = channel_for(ws, str(args["channel_id"]))
        if not channel.bot_is_member:
            raise SlackError("not_in_channel")
        comment = str(args.get("initial_comment") or "")
        message = bot_message(comment, [], files=shown, thread_ts=args.get("thread_ts"), subtype="file_share")
        ws.messages.add(channel.id, message)
    return {"files": shown}


def _uploaded(ws: Workspace, wanted: Json) -> dict[str, Json]:
    file = ws.files.get(wanted.get("id", "") if isinstance(wanted, dict) else "")
    if file is None or file["data"] is None:
        raise SlackError("file_not_found")
    file |= {
        "shared": True,
        "title": wanted.get("title") or file["name"],
        "url_private": f"{ws.url}/files/{file['id']}",
        "mimetype": mimetype(file["data"]),
    }
    return file
