"""Delivery by signed HTTP requests to the bot's request URL."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlencode

import httpx

from bot.simulator.config import Config
from bot.simulator.delivery.ack import Ack, Kind
from bot.simulator.delivery.signing import signed_headers
from bot.simulator.json_value import Json

FORM = "application/x-www-form-urlencoded"


def encoded(kind: Kind, payload: dict[str, Json]) -> tuple[str, bytes]:
    """Content type and body of a payload, as Slack sends it: a form for commands and clicks, JSON for events."""
    if kind == "slash_commands":
        return FORM, urlencode(payload).encode()
    if kind == "interactive":
        return FORM, urlencode({"payload": json.dumps(payload)}).encode()
    return "application/json", json.dumps(payload).encode()


class HttpDelivery:
    """Posts to `config.bot_url`, whatever proxies the environment names."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client = httpx.AsyncClient(trust_env=False, timeout=config.ack_timeout)

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, kind: Kind, payload: dict[str, Json], attempt: int = 0, reason: str = "") -> Ack:
        content_type, body = encoded(kind, payload)
        headers = {"Content-Type": content_type, **signed_headers(self._config.signing_secret, body)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        return await self.post(body, headers)

    async def post(self, body: bytes, headers: dict[str, str]) -> Ack:
        """Sends a body as it is; waits for the answer no longer than Slack does."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._config.ack_timeout):
                headers = {"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)", **headers}
                response = await self._client.post(self._config.bot_url, content=body, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return Ack(_since(started), "operation_timeout", "http_timeout")
        except httpx.HTTPError:
            return Ack(_since(started), "dispatch_failed", "connection_failed")
        ms = _since(started)
        if response.status_code != 200:
            no_retry = response.headers.get("x-slack-no-retry") == "1"
            return Ack(ms, "dispatch_failed", "http_error", response.status_code, response.text, no_retry)
        return Ack(ms, status=200, body=_body(response))


def _body(response: httpx.Response) -> Json:
    if not response.content.strip():
        return None
    try:
        return response.json()
    except ValueError:
        return response.text


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
