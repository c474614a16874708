"""XML from outside as plain values, within bounds: no DTD, no entities of its own, so deep and so many elements."""

from __future__ import annotations

import re

from engine.text.storable import MAX_DEPTH
from storage.records import Json

MAX_ELEMENTS = 100_000
MOST_DEEP = MAX_DEPTH - 4
"""Elements inside each other; what is kept of an answer is a little deeper."""
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


class NotRead(ValueError):
    """Why the text is not read as XML, as the end of a sentence."""


def parse(text: str) -> Json:
    """Elements as mappings: attributes as `@name`, text beside them as `#text`, a repeated element as a list.

    Raises `NotRead`.
    """
    from xml.parsers.expat import ExpatError  # with what is below loaded only for the first answer in XML

    import xmltodict
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    try:
        guard = DefusedXMLParser(target=_Bounds(), forbid_dtd=True)
        guard.feed(text)
        guard.close()
        return xmltodict.parse(text, disable_entities=True)
    except DefusedXmlException as error:
        raise NotRead("it has a DTD or entities of its own, which are not read") from error
    except (ParseError, ExpatError, UnicodeError) as error:
        raise NotRead("it is not well-formed") from error


def declared_charset(body: bytes) -> str:
    """The encoding that the declaration at the beginning names, or ""."""
    found = _DECLARED.match(body.removeprefix(b"\xef\xbb\xbf"))
    return found[1].decode("ascii") if found else ""


class _Bounds:
    """What the parser builds instead of a tree: a count."""

    def __init__(self) -> None:
        self._depth = 0
        self._elements = 0

    def start(self, _tag: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MOST_DEEP:
            raise NotRead(f"its elements lie more than {MOST_DEEP} deep")
        if self._elements > MAX_ELEMENTS:
            raise NotRead(f"it has more than {MAX_ELEMENTS} elements")

    def end(self, _tag: str) -> None:
        self._depth -= 1

    def data(self, _text: str) -> None:
        pass

    def close(self) -> None:
        pass
