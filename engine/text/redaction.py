"""Secrets masked by value, wherever text leaves the process: logs, evidence, outputs, messages.

A secret is found as it is and in any of its encodings, one in the other (`engine/text/encodings.py`), and of a long one
each line and each longer part (`engine/text/secret_matching.py`). Mask first: what was folded, cut or escaped before
may hide a secret from this. `outgoing` does it in that order.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from engine.text.encodings import views
from engine.text.secret_matching import Found, Matcher
from storage.records import Json

Redact = Callable[[Json], Json]

MIN_LENGTH = 4
"""A shorter value cannot be masked without masking ordinary words."""

MIN_GIVEN_LENGTH = 8
MIN_GIVEN_DIFFERENT = 5
MIN_LETTERS = 16
"""What a value that no operator chose must be like to be masked by value: see `tells_nothing`."""

MIN_STRETCH = 6
"""So many characters of a secret in a row are worth masking in what a template made of it."""

MAX_TOLD_BYTES = 600
"""How much of a server's, a library's or a template's words stands in a sentence for people."""

UNSEEN = "‹not shown: encoded too often to be searched for secrets›".encode()

_APART = b"\0\0\0\0"
"""Between the texts of a JSON value, which are searched as one."""

_MARK = re.compile("‹secret ", re.IGNORECASE)
"""How each mark begins, also one that a template has cut or put in capitals."""
_NOT_LETTERS = re.compile(r"[\W_]+")

Known = Counter[tuple[str, str]]


def mark(*names: str) -> str:
    """What is shown instead of a secret, or of what was made of several."""
    return f"‹secret {', '.join(names)}›"


def shows_mark(text: str) -> bool:
    """Whether something in a text was masked, so that it is not what it was."""
    return _MARK.search(text) is not None or UNSEEN.decode() in text


def tells_nothing(value: str) -> bool:
    """Whether a value looks made up by a machine, so that masking it hides no ordinary word.

    At least 8 characters, 5 of them different, and letters alone (with whatever stands between words) only from 16 on.
    """
    if len(value) < MIN_GIVEN_LENGTH or len(set(value)) < MIN_GIVEN_DIFFERENT:
        return False
    return len(value) >= MIN_LETTERS or not _NOT_LETTERS.sub("", value).isalpha()


def worth_masking(made: str, secrets: Iterable[str]) -> bool:
    """Whether what a template made of these secrets is to be masked by value and shows enough of them to need it.

    That is so if it has a stretch of a secret in it, in whatever case, or is one whole, or looks made up itself. What
    shows nothing of them, such as `false` or a length, is an ordinary word that stands elsewhere too.
    """
    folded = made.casefold()
    for secret in secrets:
        if made == secret:
            return False
        whole = secret.casefold()
        if len(folded) >= MIN_LENGTH and folded.strip() == whole.strip():
            return True
        if _stretches(folded) & _stretches(whole):
            return True
    return tells_nothing(made)


def _stretches(text: str) -> set[str]:
    return {text[at : at + MIN_STRETCH] for at in range(len(text) - MIN_STRETCH + 1)}


class Redactor:
    """What must never be shown, and the one way to mask it. Thread-safe: readers see one state or the next, whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting: Known = Counter()
        self._passing: Known = Counter()
        self._received: Known = Counter()
        self._matchers: tuple[Matcher, Matcher, Matcher] = Matcher(()), Matcher(()), Matcher(())

    def add(self, name: str, value: str) -> None:
        """As `add_all`, for one value."""
        self.add_all({name: value})

    def add_all(self, secrets: Mapping[str, str]) -> None:
        """Mask these values from now on, shown as ‹secret name›. Raises ValueError for one that is too short."""
        for name, value in secrets.items():
            if len(value) < MIN_LENGTH:
                raise ValueError(f"the secret {name} is shorter than {MIN_LENGTH} characters and could not be masked")
        if all(item in self._lasting for item in secrets.items()):
            return
        with self._lock:
            self._lasting = self._lasting | Counter(dict.fromkeys(secrets.items(), 1))
            self._matchers = _matcher(self._lasting), *self._matchers[1:]

    def lend(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Mask these values too, until `take_back` was called as often: tokens, and what templates made of secrets."""
        self._lend(Counter(secrets))

    def lend_received(self, secrets: Iterable[tuple[str, str]]) -> None:
        """As `lend`, for what runs received: `redact_but_received` leaves these as they are."""
        self._lend_received(Counter(secrets))

    def take_back_received(self, secrets: Iterable[tuple[str, str]]) -> None:
        """As `take_back`, for what was lent as received."""
        self._lend_received(_less(secrets))

    def take_back(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Mask these values no longer under these names, because they are worth nothing any more."""
        self._lend(_less(secrets))

    def _lend(self, change: Known) -> None:
        if not change:
            return
        with self._lock:
            passing = _changed(self._passing, change)
            if passing.keys() != self._passing.keys():
                lasting, _, received = self._matchers
                self._matchers = lasting, _matcher(passing, in_parts=False), received
            self._passing = passing

    def _lend_received(self, change: Known) -> None:
        if not change:
            return
        with self._lock:
            received = _changed(self._received, change)
            if received.keys() != self._received.keys():
                self._matchers = *self._matchers[:2], _matcher(received, in_parts=False)
            self._received = received

    @contextmanager
    def meanwhile(self) -> Iterator[Callable[[Iterable[tuple[str, str]]], None]]:
        """Inside, what is given is masked too; afterwards no more."""
        given: list[tuple[str, str]] = []

        def also(secrets: Iterable[tuple[str, str]]) -> None:
            fresh = list(secrets)
            self.lend(fresh)
            given.extend(fresh)

        try:
            yield also
        finally:
            self.take_back(given)

    def redact(self, text: str) -> str:
        """The text with a mark for every secret in it, however encoded."""
        if len(text) < MIN_LENGTH:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        spans = _spans(raw, self._matchers)
        return _masked(raw, 0, len(raw), spans) if spans else text

    def redact_json(self, value: Json) -> Json:
        """A copy with every text, key and number masked; a number that spells a secret becomes the mark."""
        return self.redact(value) if isinstance(value, str) else _redacted(value, self._matchers)

    def redact_but_received(self, value: Json) -> Json:
        """As `redact_json`, but that what runs received stays as it is: never to be kept, shown or told."""
        return _redacted(value, self._matchers[:2])


def _less(secrets: Iterable[tuple[str, str]]) -> Known:
    return Counter({item: -count for item, count in Counter(secrets).items()})


def _changed(known: Known, change: Known) -> Known:
    after = known.copy()
    after.update(change)
    return +after


def _redacted(value: Json, matchers: Iterable[Matcher]) -> Json:
    texts = list(_texts(value))
    raws = [text.encode("utf-8", "surrogatepass") for text in texts]
    raw = _APART.join(raws)
    spans = _spans(raw, matchers)
    return _rebuilt(value, _each_masked(raw, raws, spans) if spans else iter(texts))


def _spans(raw: bytes, matchers: Iterable[Matcher]) -> list[Found]:
    """What to mask, in order and apart."""
    asked = [each for each in matchers if each]
    found: list[Found] = []
    for view, searched in views(raw) if asked else ():
        if not searched:
            found.append(Found(*view.origin(0, len(view.data)), UNSEEN))
            continue
        for matcher in asked:
            for each in matcher.find(view.data, readable=view.readable):
                found.append(Found(*view.origin(each.start, each.end), each.mark))
    return _merged(raw, found)


def outgoing(text: str, redact: Redact, limit: int, *, fold: bool = False) -> str:
    """A text as it may leave: masked first, then with white space folded if asked for, then cut to `limit` bytes."""
    shown = str(redact(text))
    return cut(" ".join(shown.split()) if fold else shown, limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` bytes of the text as UTF-8, with a mark where it was cut."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore") + "… (cut)"


def _matcher(known: Known, *, in_parts: bool = True) -> Matcher:
    secrets = ((each, mark(name).encode()) for name, value in known for each in _in_each_case(value))
    return Matcher(secrets, in_parts=in_parts)


def _in_each_case(value: str) -> set[str]:
    """The value, and in capitals and in small letters where that hides no ordinary word: a server may echo it so."""
    return {value, value.upper(), value.lower()} if tells_nothing(value) else {value}


def _merged(raw: bytes, found: list[Found]) -> list[Found]:
    """Stretches that touch as one, under the mark of the longest; the pieces of one secret give one mark."""
    merged: list[Found] = []
    for each in sorted(found, key=lambda each: (each.start, -each.end, each.mark)):
        last = merged[-1] if merged else None
        if last and (each.start < last.end or (each.mark == last.mark and not raw[last.end : each.start].strip())):
            longest = max(last, each, key=lambda one: one.end - one.start)
            merged[-1] = Found(last.start, max(last.end, each.end), longest.mark)
        else:
            merged.append(each)
    return merged


def _masked(raw: bytes, start: int, end: int, spans: Iterable[Found]) -> str:
    """The text from `start` to `end` with the marks in it. No character is torn: what is half secret is all masked."""
    out, at = [], start
    for span in spans:
        begin, over = max(span.start, start), min(span.end, end)
        while begin > start and _goes_on(raw[begin]):
            begin -= 1
        while over < end and _goes_on(raw[over]):
            over += 1
        out += [raw[at : max(at, begin)], span.mark]
        at = max(at, over)
    return b"".join([*out, raw[at:end]]).decode("utf-8", "surrogatepass")


def _goes_on(byte: int) -> bool:
    """Whether this is not the first byte of a character."""
    return 0x80 <= byte < 0xC0


def _each_masked(raw: bytes, raws: list[bytes], spans: list[Found]) -> Iterator[str]:
    """The texts that `raw` was joined of, one by one."""
    start, first = 0, 0
    for each in raws:
        end, last = start + len(each), first
        while last < len(spans) and spans[last].start < end:
            last += 1
        yield _masked(raw, start, end, (span for span in spans[first:last] if span.end > start))
        first = last - 1 if last > first and spans[last - 1].end > end else last
        start = end + len(_APART)


def _texts(value: Json) -> Iterator[str]:
    """Every text, key and number, in the order in which `_rebuilt` takes them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _rebuilt(value: Json, texts: Iterator[str]) -> Json:
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, dict):
        return {next(texts): _rebuilt(inner, texts) for inner in value.values()}
    if isinstance(value, list | tuple):
        return [_rebuilt(inner, texts) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        shown = next(texts)
        return value if shown == str(value) else shown
    return value
