"""Telling a redelivered request from a new one."""

from __future__ import annotations

from engine.runtime import Runtime
from storage import database, requests


def first_time(_rt: Runtime, key: str) -> bool:
    """False when `key` was seen within the last 24 hours."""
    with database.transaction():
        return requests.first_time(key)
