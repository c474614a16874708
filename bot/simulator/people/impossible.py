"""What a person cannot do."""

from __future__ import annotations


class Impossible(Exception):
    """There is nothing there to click, fill in or talk to. `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 404) -> None:
        self.status = status
        super().__init__(message)
