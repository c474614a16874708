"""The command line, `runbook`: what people ask for by the words of Slack, and what operators do."""

from __future__ import annotations

from bot.cli.entry import main

__all__ = ["main"]
