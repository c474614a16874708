"""How a URL says that it begins with that of a target: `{{ targets.NAME.url }}`. Pure."""

from __future__ import annotations

import re
from typing import Final

PLACEHOLDER: Final = "https://target.invalid"
"""What stands for a target where the rest of a URL is looked at."""
_BEGIN = re.compile(r"\{\{\s*targets\.([A-Za-z0-9_]+)\.url\s*\}\}")


def target_in(url: str) -> str | None:
    """The name of the target that a URL begins with, None where it begins with something else."""
    found = _BEGIN.match(url)
    return found[1] if found else None


def with_base(url: str, base: str = PLACEHOLDER) -> str:
    """The URL with `base` in the place of its target's; one without a target as it is."""
    found = _BEGIN.match(url)
    return base + url[found.end() :] if found else url
