"""Pages that are kept as files and printed: each one HTML file that runs nothing and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from engine.text.visible_characters import visible

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #22211f; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: #625e57; }
th, td { border: 1px solid #dcd8d0; padding: .25rem .5rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
th { background: #f1efeb; } thead { display: table-header-group; } tr { break-inside: avoid; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f1efeb; padding: .5rem; margin: 0; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } }
"""
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"


def text(value: Any) -> str:
    """A value as text that is nothing but text in HTML; nothing for None."""
    return escape(visible("" if value is None else str(value)))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of texts."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in columns)
    body = "\n".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def heading(title: str) -> str:
    """A heading of a part."""
    return f"<h2>{text(title)}</h2>"


def paragraph(words: str) -> str:
    """A paragraph of text."""
    return f"<p>{text(words)}</p>"


def pre(words: str) -> str:
    """Text as it is, line by line."""
    return f"<pre>{text(words)}</pre>"


def page(title: str, parts: Iterable[str], head: str = "") -> str:
    """The whole file."""
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>{head}\n</head>\n<body>\n<h1>{text(title)}</h1>",
        *parts, "</body>\n</html>\n",
    ])  # fmt: skip
