"""What went wrong in an expression, in JSON's words: Python speaks of its own types."""

from __future__ import annotations

import re

_WORDS = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "str": "text",
    "list": "a list",
    "dict": "a mapping",
}
_TYPE = "'?(" + "|".join(_WORDS) + ")'?"
_SENTENCES: tuple[tuple[str, str], ...] = (
    (rf"'([<>]=?)' not supported between instances of {_TYPE} and {_TYPE}", "`{}` does not compare {} with {}"),
    (rf"argument of type {_TYPE} is not .*", "`in` looks into text, a list or a mapping, not {}"),
    (rf"'in <string>' requires string as left operand, not {_TYPE}", "in text, `in` looks for text, not {}"),
    (rf"bad operand type for unary ([-+]): {_TYPE}", "`{}` needs a number, not {}"),
    (rf"{_TYPE} object is not subscriptable", "a part can be cut out of text or a list, not {}"),
    (r"unhashable type: 'slice'", "a part can be cut out of text or a list, not a mapping"),
    (rf"(?:cannot use .* \()?unhashable type: {_TYPE}.*", "a key is text, not {}"),
    (r".*\(\) (?:takes|got|missing) .*argument.*", "a filter or test is given what it does not take"),
    (r"slice indices must be integers.*", "a part is cut out by whole numbers"),
)


def in_words(error: Exception) -> str:
    """The error's sentence, without a Python type in it."""
    text = str(error)
    for pattern, sentence in _SENTENCES:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return sentence.format(*(_WORDS.get(part, part) for part in found.groups()))
    return re.sub(rf"'({'|'.join(_WORDS)})'", lambda found: _WORDS[found[1]], text)
