"""Slack's mrkdwn with values in it: what an author wrote is markup, what came from a value is text.

A value never begins a mention, a link or a call to everybody. It may be the whole id in a mention that the author wrote
around it, a piece behind the host of a link that the author wrote, or a link's label. Whatever else stands between `<`
and `>` shows as the text that it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

HOLE = "\0"
"""Where a value stands in what an author wrote."""

_TOKEN = re.compile(r"<[^<>\n]+>")
_MEANT = re.compile(r"<(?:[@#!\0]|https?:|mailto:)")
_NOT_ESCAPED = re.compile(r"&(?!(?:amp|lt|gt);)")
_TORN = re.compile(r"(?:<[^<>]*|&[a-z]{0,3})\Z")
_FENCE = "```"
_SPACE = re.compile(r"\s+")
_ID = re.compile(r"(?P<sign>@|#|!subteam\^)(?P<id>[A-Z0-9]+|\0)(?:\|[^\0|]*)?")
_IDS = {"@": re.compile(r"[UW][A-Z0-9]{5,20}"), "#": re.compile(r"[CG][A-Z0-9]{5,20}")}
_GROUP = re.compile(r"S[A-Z0-9]{5,20}")
_EVERYBODY = re.compile(r"!(here|channel|everyone)(?:\|[^\0|]*)?")
_DATE = re.compile(r"!date\^(?P<at>[0-9]{1,11}|\0)\^(?P<format>[^\0|^]+)\|(?P<label>[^|]+)")
_SECONDS = re.compile(r"[0-9]{1,11}")
_LINK = re.compile(
    r"(?P<url>https?://[^\s/?#@\\|\0]+(?:[/?#][^\s\\|]*)?|mailto:[^\s|\0]+)(?:\|(?P<label>[^|]+))?", re.IGNORECASE
)
_Values = Iterator[str]


def composed(written: str, values: Iterable[str]) -> str:
    """What an author wrote, with each `HOLE` in it filled by the next of `values`. Every `<` in it begins markup."""
    left, made, end = iter(values), [], 0
    for found in _TOKEN.finditer(written):
        made += [_text(written[end : found.start()], left), _token(found[0], left)]
        end = found.end()
    return "".join([*made, _text(written[end:], left)])


def readable(mrkdwn: str) -> str:
    """The same as plain text: `@U0123`, `@here`, `label (https://…)`; other signs, as those for bold, as written."""
    plain = _TOKEN.sub(lambda found: _told(found[0][1:-1]), mrkdwn)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def head(mrkdwn: str, limit: int) -> str:
    """How it begins, in at most `limit` characters: whole lines where that is possible, and no markup torn."""
    if len(mrkdwn) <= limit:
        return mrkdwn
    room = mrkdwn[: limit - len(_FENCE) - 1]
    kept = room.rpartition("\n")[0].rstrip() or _TORN.sub("", room)
    return f"{kept}\n{_FENCE}" if kept.count(_FENCE) % 2 else kept


def has_markup(mrkdwn: str) -> bool:
    """Whether there is more in it than text: a mention, a link or a call."""
    return "<" in mrkdwn


def calls_everybody(written: str) -> list[str]:
    """What in an author's text rings everybody in a channel, as written."""
    return [token for token in _TOKEN.findall(written) if _EVERYBODY.fullmatch(token[1:-1])]


def markup(written: str) -> list[str]:
    """The mentions, links and calls in an author's text, as written."""
    return [token for token in _TOKEN.findall(written) if _maker(token[1:-1]) is not None]


def mistaken(written: str) -> list[str]:
    """What an author seems to mean as markup and is none, as written."""
    return [token for token in _TOKEN.findall(written) if _MEANT.match(token) and _maker(token[1:-1]) is None]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _kept(written: str) -> str:
    """An author's own text, which may hold Slack's three escapes already."""
    return _NOT_ESCAPED.sub("&amp;", written).replace("<", "&lt;").replace(">", "&gt;")


def _filled(written: str, values: _Values, of_value: Callable[[str], str], of_author: Callable[[str], str]) -> str:
    first, *others = written.split(HOLE)
    return of_author(first) + "".join(of_value(next(values)) + of_author(other) for other in others)


def _text(written: str, values: _Values) -> str:
    return _filled(written, values, _escaped, _kept)


def _label(written: str, values: _Values) -> str:
    return _SPACE.sub(" ", _text(written, values)).strip()


def _token(token: str, values: _Values) -> str:
    """What stands between `<` and `>` as markup, or as text where it, or a value in it, makes none."""
    taken = [next(values) for _ in range(token.count(HOLE))]
    maker = _maker(token[1:-1])
    made = maker(iter(taken)) if maker is not None else None
    return _text(token, iter(taken)) if made is None else f"<{made}>"


def _maker(inside: str) -> Callable[[_Values], str | None] | None:
    """What makes markup of what an author wrote and of the values in it: None where that is no markup."""
    if found := _EVERYBODY.fullmatch(inside):
        return lambda _: f"!{found[1]}"
    if (named := _ID.fullmatch(inside)) and _is_id(named, named["id"]):
        return lambda values: _named(named, values)
    if dated := _DATE.fullmatch(inside):
        return lambda values: _dated(dated, values)
    if linked := _LINK.fullmatch(inside):
        return lambda values: _linked(linked, values)
    return None


def _is_id(found: re.Match[str], name: str) -> bool:
    return name == HOLE or _IDS.get(found["sign"], _GROUP).fullmatch(name) is not None


def _named(found: re.Match[str], values: _Values) -> str | None:
    name = next(values) if found["id"] == HOLE else found["id"]
    return found["sign"] + name if name != HOLE and _is_id(found, name) else None


def _dated(found: re.Match[str], values: _Values) -> str | None:
    at = next(values) if found["at"] == HOLE else found["at"]
    if not _SECONDS.fullmatch(at):
        return None
    return f"!date^{at}^{_kept(found['format'])}|{_label(found['label'], values) or at}"


def _linked(found: re.Match[str], values: _Values) -> str | None:
    url = _filled(found["url"], values, lambda value: quote(value, safe=""), _kept)
    if HOLE in found["url"] and {".", ".."} & set(re.split(r"[?#]", url)[0].split("/")):
        return None  # a value would make another path of it
    label = _label(found["label"] or "", values)
    return f"{url}|{label}" if label else url


def _told(inside: str) -> str:
    target, _, label = inside.partition("|")
    if not target:
        return f"<{inside}>"
    if target.startswith("!date^"):
        return label
    if target[0] in "@#":
        return target
    if target.startswith("!"):
        return f"@{target.removeprefix('!').removeprefix('subteam^')}"
    target = target.removeprefix("mailto:")
    return f"{label} ({target})" if label else target
