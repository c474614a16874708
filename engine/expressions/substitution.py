"""What a step template says, in the words of the runbook that uses it: its parameters and steps put in their place.

Works on Jinja's own tokens, so that texts in quotes and outside the braces stay as they are. A parameter becomes the
expression that it was given, in brackets, or where it stands alone the value itself.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError

from engine.expressions.grammar import MAX_SOURCE
from engine.expressions.sandbox import SANDBOX
from engine.expressions.templates import has_template
from storage.records import Json

_PLAIN = re.compile(r"[a-z0-9.-]+")
"""Text that means the same inside a template, a host name and an expression."""
Token = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Substitution:
    """What `params` are, and what the steps are called where the template is used.

    `inside_outputs` says that the steps are read by the step that holds them, from its own `outputs`.
    """

    params: Mapping[str, Json]
    ids: Mapping[str, str]
    inside_outputs: bool = False

    def value(self, value: Json) -> Json:
        """A JSON value with every template in it put in the runbook's words. Raises ValueError with a sentence."""
        if isinstance(value, str):
            return self._text(value) if has_template(value) else value
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def condition(self, condition: Json) -> Json:
        """The same of a condition, whose texts are bare expressions."""
        if isinstance(condition, str):
            return _bounded(self._rewritten(_tokens(condition, "variable")))
        if not isinstance(condition, dict):
            return condition
        changed = {key: self.value(item) for key, item in condition.items()}
        for word in ("all", "any"):
            if isinstance(condition.get(word), list):
                changed[word] = [self.condition(part) for part in condition[word]]
        for word in ("not", "field"):
            if word in condition:
                changed[word] = self.condition(condition[word])
        return changed

    def _text(self, text: str) -> Json:
        pieces = _pieces(_tokens(text, None))
        if len(pieces) == 1 and (name := self._only_param(pieces[0])) is not None:
            return copy.deepcopy(self.params[name])
        return _bounded("".join(map(self._piece, pieces)))

    def _piece(self, piece: Sequence[Token]) -> str:
        name = self._only_param(piece)
        given = str(self.params[name]) if name is not None and isinstance(self.params[name], (str, int)) else ""
        if not isinstance(self.params.get(name or ""), bool) and _PLAIN.fullmatch(given):
            return given
        return self._rewritten(piece)

    def _only_param(self, piece: Sequence[Token]) -> str | None:
        """The parameter that a `{{ params.name }}` is, if it is nothing more."""
        words = [token for token in piece if token[0] != "whitespace"]
        match words:
            case [("variable_begin", _), ("name", "params"), ("operator", "."), ("name", name), ("variable_end", _)]:
                return name if name in self.params else None
        return None

    def _rewritten(self, tokens: Sequence[Token]) -> str:
        written: list[str] = []
        index = 0
        while index < len(tokens):
            kind, word = tokens[index]
            before = next((each for each in reversed(tokens[:index]) if each[0] != "whitespace"), ("", ""))
            if kind == "name" and word in ("params", "steps") and before not in (("operator", "."), ("operator", "|")):
                text, index = self._root(word, tokens, index + 1)
                written.append(text)
            else:
                written.append(word)
                index += 1
        return "".join(written)

    def _root(self, root: str, tokens: Sequence[Token], index: int) -> tuple[str, int]:
        name, after = _member(tokens, index, dashes=root == "steps")
        if root == "params":
            if name is None:
                return _bracketed(dict(self.params)), index
            return _bracketed(self.params[name]) if name in self.params else f"({{}})[{_quoted(name)}]", after
        if name is None or name not in self.ids:
            return root, index
        if not self.inside_outputs:
            return f"steps['{self.ids[name]}']", after
        inner, beyond = _member(tokens, after, dashes=False)
        return f"outputs.steps['{self.ids[name]}']", beyond if inner == "outputs" else after


def expression_of(value: Json) -> str:
    """A value that may hold templates as one expression. Raises ValueError with a sentence."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {expression_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(expression_of, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if not has_template(value):
        return _quoted(value)
    pieces = [_inner(piece) for piece in _pieces(_tokens(value, None))]
    return pieces[0] if len(pieces) == 1 else f"({' ~ '.join(pieces)})"


def _bracketed(value: Json) -> str:
    text = expression_of(value)
    return text if text.startswith("(") else f"({text})"


def _inner(piece: Sequence[Token]) -> str:
    if piece[0][0] == "data":
        return _quoted(piece[0][1])
    if piece[0][0] != "variable_begin":
        raise ValueError("a value for a template holds {{ }} only, no {% %} blocks")
    return f"({''.join(word for _, word in piece[1:-1]).strip()})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _tokens(source: str, state: str | None) -> list[Token]:
    try:
        return [(kind, value) for _, kind, value in SANDBOX.lexer.tokeniter(source, None, None, state)]
    except TemplateSyntaxError as error:
        raise ValueError(str(error.message).rstrip(".")) from None


def _pieces(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens by what they stand for: text, a `{{ }}`, a `{% %}`."""
    pieces: list[list[Token]] = []
    opened = False
    for token in tokens:
        if not opened:
            pieces.append([])
        pieces[-1].append(token)
        opened = token[0] in ("variable_begin", "block_begin", "comment_begin") or (
            opened and token[0] not in ("variable_end", "block_end", "comment_end")
        )
    return pieces


def _member(tokens: Sequence[Token], index: int, *, dashes: bool) -> tuple[str | None, int]:
    """The name behind a `.`, or in quotes between square brackets, and where the tokens go on; None for neither."""
    if tokens[index : index + 1] == [("operator", ".")]:
        end = index + 1
        while end < len(tokens) and (
            tokens[end][0] in {"name", "integer"} or (dashes and tokens[end] == ("operator", "-"))
        ):
            end += 1
        return "".join(word for _, word in tokens[index + 1 : end]) or None, end
    match list(tokens[index : index + 3]):
        case [("operator", "["), ("string", text), ("operator", "]")]:
            return text[1:-1], index + 3
    return None, index


def _bounded(text: str) -> str:
    if len(text) > MAX_SOURCE:
        raise ValueError(f"with what it is given, this is longer than {MAX_SOURCE} characters")
    return text
