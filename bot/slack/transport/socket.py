"""Socket Mode: the bot dials Slack, so nothing of it has to be reachable from outside."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
import time
from typing import Any

from slack_bolt import BoltResponse
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.slack.client import QUIET, error_code, web_client
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.transport.app import SlackApp
from bot.slack.transport.http import event_key
from engine.config.settings import Settings

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long the SDK may take to replace a connection before a new one is made."""
CONCURRENCY = 10


class SocketTransport:
    """The connection: kept up from `start` to `close`; the SDK replaces connections that Slack refreshes."""

    def __init__(self, door: SlackApp, settings: Settings) -> None:
        assert settings.slack_app_token is not None
        self._door = door
        self._settings = settings
        self._client: SocketModeClient | None = None
        self._tried = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="socket-mode", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether messages can come in now."""
        return self._client is not None and self._client.is_connected()

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect is over, well or not: until then what people type would be lost."""
        return self._tried.is_set()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Take nothing more and hang up."""
        self._stop.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        """Connect whenever there is no connection; a moment's patience lets the SDK replace one by itself."""
        missing_since: float | None = -math.inf
        while not self._stop.is_set():
            if self.connected:
                missing_since = None
            elif missing_since is None:
                missing_since = time.monotonic()
            elif time.monotonic() - missing_since > PATIENCE_S:
                self._connect()
                missing_since = time.monotonic()
            self._stop.wait(0.5)
        self._hang_up()

    def _connect(self) -> None:
        self._hang_up()
        client = self._new_client()
        try:
            client.connect()
        except SlackApiError as trouble:
            log.error("Slack refuses the Socket Mode connection (%s); trying again.", error_code(trouble))
        except (*SLACK_TROUBLE, ValueError) as trouble:
            log.warning("Slack cannot be reached for Socket Mode (%s); trying again.", type(trouble).__name__)
        except Exception:
            log.exception("The Socket Mode connection failed; trying again.")
        self._client = client
        self._tried.set()

    def _new_client(self) -> SocketModeClient:
        api: WebClient = web_client(self._settings, self._settings.slack_app_token)
        client = SocketModeClient(
            app_token=str(self._settings.slack_app_token), web_client=api, logger=QUIET, concurrency=CONCURRENCY
        )
        client.proxy = api.proxy
        client.socket_mode_request_listeners.append(self._receive)
        return client

    def _receive(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Dispatch one envelope and ack it. What nobody handles is acked too: Slack should not ask twice."""
        headers = {} if request.retry_attempt is None else {"x-slack-retry-num": str(request.retry_attempt)}
        try:
            response = self._door.dispatch(request.payload, request_key(request.payload), headers)
        except Exception:
            log.exception("A message from Slack could not be dispatched")
            return
        try:
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id, _payload(response)))
        except Exception as trouble:  # noqa: BLE001 the connection is being replaced: Slack will show or send it again
            log.warning("An ack did not reach Slack: %s", type(trouble).__name__)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def request_key(payload: dict[str, Any]) -> str:
    """What makes a message the same message again: no two payloads are equal, since each has a trigger id or time."""
    whole = json.dumps(payload, sort_keys=True, ensure_ascii=False, default=str)
    return event_key(payload) or f"socket:{hashlib.sha256(whole.encode('utf-8', 'replace')).hexdigest()}"


def _payload(response: BoltResponse) -> dict[str, Any] | None:
    if not response.body or response.status != 200:
        return None
    kind = response.first_headers().get("content-type", "")
    return json.loads(response.body) if kind.startswith("application/json") else {"text": response.body}
