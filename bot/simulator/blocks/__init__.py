"""Block Kit as Slack judges it: what a message, a modal or a Home tab may hold, and how much of it."""

from __future__ import annotations

from bot.simulator.blocks.check import check_blocks, check_view
from bot.simulator.blocks.rules import Problem

__all__ = ["Problem", "check_blocks", "check_view"]
