"""Regular expressions written by people, run by RE2: their time grows with the text's length and nothing else.

Python's own `re` needs 4 minutes for `a*a*a*a*b` on 600 characters; RE2 has no backtracking to blow up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast

import re2

LONGEST_PATTERN = 256
"""Characters in a pattern."""

LONGEST_SUBJECT = 65_536
"""Characters of text that a pattern is run on."""


class Match(Protocol):
    """What is asked of RE2's match."""

    def groupdict(self) -> dict[str, str | None]:
        """The text of each named group, None for one that took no part."""


class Pattern(Protocol):
    """What is asked of RE2's pattern."""

    def search(self, text: str) -> Match | None:
        """The first match anywhere in the text, in time that grows with its length alone."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Pattern:
    """The compiled pattern. Raises ValueError with a sentence when it is too long or not RE2."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"the pattern is longer than {LONGEST_PATTERN} characters")
    try:
        return _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "not a regular expression"
        message = f"the pattern is not one that RE2 takes ({reason}); it has no look-around and no back-references"
        raise ValueError(message) from None


def compile_grammar(pattern: str) -> Pattern:
    """The compiled pattern, of our own and of any length, for a whole text."""
    return _compiled(rf"\A(?:{pattern})\z")


def _compiled(pattern: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    return cast(Pattern, re2.compile(pattern, options))


def found_in(pattern: str, text: str) -> dict[str, str] | None:
    """What the named groups of `pattern` hold where it is found in `text`; None where it is not.

    Raises ValueError as `compile_pattern`; only the first `LONGEST_SUBJECT` characters are looked at.
    """
    match = compile_pattern(pattern).search(text[:LONGEST_SUBJECT])
    return None if match is None else {name: value for name, value in match.groupdict().items() if value}


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found anywhere in `text`. Raises ValueError for a bad pattern or too long a text."""
    if len(text) > LONGEST_SUBJECT:
        raise ValueError(f"the text is longer than {LONGEST_SUBJECT} characters")
    return compile_pattern(pattern).search(text) is not None
