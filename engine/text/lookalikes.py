"""Hosts whose letters may pass for others, shown with what a computer makes of them: `bücher.de (xn--bcher-kva.de)`.

In an address every host that is not ASCII is told so; elsewhere only what looks like a host under a Latin ending with
letters of another script, so that sentences stay sentences.
"""

from __future__ import annotations

import re
import unicodedata

_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_TOLD = r"(?! \([\w.-]*\))"
_IN_ADDRESS = re.compile(rf"""(://(?:[^\s/?#@"'<>]*+@)?)([^\s/:?#@"'<>\\()\[\]{{}}|`,;]++){_TOLD}""")
_BARE = re.compile(rf"(?<![\w.@/-])((?:[\w-]++\.)++[^\W\d_]{{2,}}+)(?![\w.-]){_TOLD}")


def with_punycode(text: str) -> str:
    """The text with the punycode of such hosts behind them; done twice it is the same."""
    if text.isascii():
        return text
    return _BARE.sub(_of_bare, _IN_ADDRESS.sub(lambda found: found[1] + _told(found[2]), text))


def _of_bare(found: re.Match[str]) -> str:
    *labels, ending = found[1].split(".")
    foreign = ending.isascii() and any(not _is_latin(char) for label in labels for char in label)
    return _told(found[1]) if foreign else found[1]


def _told(host: str) -> str:
    return host if host.isascii() else f"{host} ({_punycode(host)})"


def _punycode(host: str) -> str:
    labels = _DOTS.split(unicodedata.normalize("NFKC", host).lower())
    return ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode('ascii')}" for each in labels)


def _is_latin(char: str) -> bool:
    return char.isascii() or not char.isalpha() or unicodedata.name(char, "").startswith("LATIN")
