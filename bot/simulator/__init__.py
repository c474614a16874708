"""The practice workspace: a Slack-compatible workspace on loopback, with a page to use it from.

The bot cannot tell it from Slack but by address. It speaks HTTP and WebSocket only and knows nothing of the bot.
"""

from __future__ import annotations

from bot.simulator.config import Config
from bot.simulator.server import PortTaken, Simulator, running_simulator

__all__ = ["Config", "PortTaken", "Simulator", "running_simulator"]
