"""How soon Slack gets its ack: 100 commands at once, while a worker is busy with runs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import httpx

from bench import workloads
from bench.rig import THREADS, Rig, stop, wait_for
from bot.simulator import Config
from bot.simulator.delivery import payloads
from bot.simulator.delivery.signing import signed_headers
from bot.simulator.directory import CHANNELS

AT_ONCE = 100
BUSY_WITH = 400
"""Runs of five steps that the worker has before it when the commands come."""
WORDS = ("list", "runs all", "status", "help", "run linear n=1", "show linear")
PEOPLE = ("U0ALICE01", "U0BOB0001", "U0CAROL01", "U0DAVE001")
CHANNEL = "C0INC0001"


def measured(rig: Rig, mode: str) -> list[float]:
    """Seconds to the ack of each of 100 commands, in one mode. Raises AssertionError when one got none."""
    with _workspace(rig, mode) as (slack, bot):
        ask = _by_http if mode == "http" else _by_socket
        asyncio.run(ask(slack, bot, len(PEOPLE)))  # warm: who these people are is known from here on
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda _: workloads.start(rig, "linear"), range(BUSY_WITH)))
        assert workloads.open_runs() > 0, "the worker was done too soon"
        seconds = asyncio.run(ask(slack, bot, AT_ONCE))
        wait_for(lambda: workloads.open_runs() == 0, "the runs to end", every=0.05)
    return seconds


async def _by_socket(slack: str, _bot: str, count: int) -> list[float]:
    """People type in the practice workspace, which sends one envelope after the other over the bot's connection."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=slack, trust_env=False, timeout=60, limits=limits) as client:

        async def command(number: int) -> float:
            user, text = _typed(number)
            body = {"user": user, "channel": CHANNEL, "text": text}
            answer = (await client.post("/control/command", json=body)).json()
            assert answer["ok"], answer
            return float(answer["ack_ms"]) / 1000

        return list(await asyncio.gather(*(command(number) for number in range(count))))


async def _by_http(slack: str, bot: str, count: int) -> list[float]:
    """Signed requests on connections of their own, written by hand: a client in Python would measure itself."""

    async def command(number: int) -> float:
        user, text = _typed(number)
        payload = payloads.slash(user, CHANNELS[CHANNEL], "/runbook", text, f"bench.{number}", f"{slack}/response/none")
        body = urlencode(payload).encode()
        headers = {
            "Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body)),
            "Content-Type": "application/x-www-form-urlencoded", **signed_headers(Config().signing_secret, body),
        }  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = b"POST /slack/events HTTP/1.1\r\n" + head.encode() + b"\r\n" + body
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(bot.rpartition(":")[2]))
        writer.write(request)
        answer = await reader.readline()
        seconds = time.perf_counter() - began
        writer.close()
        assert b" 200 " in answer, answer
        return seconds

    return list(await asyncio.gather(*(command(number) for number in range(count))))


def _typed(number: int) -> tuple[str, str]:
    return PEOPLE[number % len(PEOPLE)], WORDS[number % len(WORDS)]


@contextmanager
def _workspace(rig: Rig, mode: str) -> Iterator[tuple[str, str]]:
    """A practice workspace and a `runbook web` that serves it, a process each; their addresses."""
    config, port, bot_port = Config(), _free_port(), _free_port()
    slack, web = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{bot_port}"
    secret = {"SLACK_APP_TOKEN": config.app_token}
    if mode == "http":
        secret = {"SLACK_SIGNING_SECRET": config.signing_secret}
    environ = {**rig.environ, **secret, "SLACK_BOT_TOKEN": config.bot_token, "SLACK_API_URL": f"{slack}/api/"}
    wanted = ["--port", str(port), "--bot-url", f"{web}/slack/events", *(["--socket-mode"] if mode == "socket" else [])]
    with ExitStack() as stack:
        stack.callback(stop, _process(rig, ["-m", "bot.simulator", *wanted], {}))
        wait_for(lambda: _answers(f"{slack}/control/status"), "the practice workspace", every=0.1)
        stack.callback(stop, _process(rig, ["-m", "bot.cli", "web"], {**environ, "PORT": str(bot_port)}))
        wait_for(lambda: _answers(f"{web}/readyz"), "the web process", every=0.1)
        yield slack, web


def _process(rig: Rig, words: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[1])
    with (rig.folder / "acks.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=rig.folder, env={**os.environ, **environ, "PYTHONPATH": root}, stdout=log, stderr=log,
        )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    return False
