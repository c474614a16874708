"""What JSON holds, as the practice workspace reads and sends it."""

from __future__ import annotations

from typing import Any

Json = Any
