"""The remaining addresses: response URLs, uploads, permalinks, Socket Mode and the page's files."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from bot.simulator.delivery.ack import Delivery
from bot.simulator.delivery.socket import SocketDelivery
from bot.simulator.json_value import Json
from bot.simulator.people.replies import answer
from bot.simulator.tickets import TicketRefused
from bot.simulator.web_api.errors import SlackError
from bot.simulator.web_api.files import MOST_BYTES, mimetype
from bot.simulator.workspace import Workspace

PAGE = Path(__file__).parent / "page"


class Doors:
    """What the workspace serves beside the Web API and the control interface."""

    def __init__(self, ws: Workspace, delivery: Delivery) -> None:
        self._ws = ws
        self._delivery = delivery

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/response/{token}", self._respond, methods=["POST"]),
            Route("/upload/{file_id}", self._upload, methods=["POST"]),
            Route("/files/{file_id}", self._file, methods=["GET"]),
            Route("/archives/{channel}/{message}", self._permalink, methods=["GET"]),
            WebSocketRoute("/link/", self._link),
            Route("/", self._page, methods=["GET"]),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]

    async def _respond(self, request: Request) -> Response:
        """A response_url: shows what the bot sends there, five times within half an hour."""
        entry = self._ws.journal.call("response_url", {})
        try:
            hook = self._ws.tickets.use_hook(request.path_params["token"])
            body = await request.json()
            entry["args"] = body if isinstance(body, dict) else {"body": body}
            answer(self._ws, hook, body)
        except TicketRefused as refusal:
            return self._refused(entry, 404, str(refusal))
        except SlackError as refusal:
            return self._refused(entry, 400, str(refusal))
        except ValueError:
            return self._refused(entry, 400, "invalid_payload")
        entry |= {"status": 200, "ok": True}
        return PlainTextResponse("ok")

    def _refused(self, entry: dict[str, Json], status: int, error: str) -> Response:
        entry |= {"status": status, "ok": False, "error": error}
        self._ws.journal.problem("refused", f"A response_url refused: {error}", method="response_url", error=error)
        return PlainTextResponse(error, status_code=status)

    async def _upload(self, request: Request) -> Response:
        file = self._ws.files.get(request.path_params["file_id"])
        data = await request.body()
        if file is None or file["data"] is not None:
            return PlainTextResponse("not found", status_code=404)
        if len(data) != file["size"] or len(data) > MOST_BYTES:
            return PlainTextResponse(f"expected {file['size']} bytes, got {len(data)}", status_code=400)
        file["data"] = data
        return PlainTextResponse(f"OK - {len(data)}")

    async def _file(self, request: Request) -> Response:
        file = self._ws.files.get(request.path_params["file_id"])
        if file is None or not file["shared"]:
            return JSONResponse({"ok": False, "error": "file_not_found"}, status_code=404)
        # Always a download and never a page of its own: what the bot uploads must not run as this site's script.
        headers = {"Content-Disposition": f'attachment; filename="{file["id"]}"', "X-Content-Type-Options": "nosniff"}
        return Response(file["data"], media_type=mimetype(file["data"]), headers=headers)

    async def _permalink(self, request: Request) -> Response:
        digits = request.path_params["message"].removeprefix("p")
        ts = f"{digits[:-6]}.{digits[-6:]}"
        thread = request.query_params.get("thread_ts", "")
        where = f"/?channel={request.path_params['channel']}&message={ts}"
        return RedirectResponse(where + (f"&thread={thread}" if thread else ""))

    async def _link(self, socket: WebSocket) -> None:
        known = self._ws.use_socket_ticket(socket.query_params.get("ticket", ""))
        if not known or not isinstance(self._delivery, SocketDelivery):
            await socket.close(code=4001, reason="invalid_ticket")
            return
        await self._delivery.serve(socket)

    async def _page(self, _request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-store"})
