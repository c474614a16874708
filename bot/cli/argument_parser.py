"""A parser of arguments that names the nearest word where it does not know one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from engine.text.words import did_you_mean, listed, shortened


class Parser(argparse.ArgumentParser):
    """As argparse's, with usage, exit code 2 and all, but for what it says of unknown options and choices."""

    def options(self) -> Iterator[str]:
        """Its options and those of its subcommands, as they are written."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for inner in action.choices.values():
                    yield from inner.options()

    def refuse(self, unknown: Sequence[str]) -> None:
        """Exit, saying that there are no such arguments, each option with the nearest one."""
        self.error("; ".join(self._unknown(each) for each in unknown))

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"“{shortened(word)}” is one word too many"
        option = word.partition("=")[0]
        return f"there is no option {shortened(option)}{did_you_mean(option, self.options())}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(each) for each in action.choices]
            why = f"“{shortened(str(value))}” is none of {listed(known)}{did_you_mean(str(value), known)}"
            raise argparse.ArgumentError(action, why)
