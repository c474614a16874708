"""What a transaction would ask an external policy, asked while none is open.

Some questions are known only inside, such as the parameters of a child run. Then the transaction is undone, the
question is asked, and it is done anew with the answer, which counts for exactly what was asked and for this one deed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from storage.records import Json

T = TypeVar("T")

MOST = 20
"""Questions that one deed may bring up so; what comes beyond is asked inside."""
_ANSWERS: ContextVar[dict[str, object] | None] = ContextVar("policy_answers", default=None)


class NotAskedYet(Exception):
    """Undoes a transaction that needs an answer to this question."""

    def __init__(self, digest: str, facts: Json) -> None:
        super().__init__("an external policy has to be asked first")
        self.digest = digest
        self.facts = facts


def do(act: Callable[[], T], ask: Callable[[Json], object]) -> T:
    """What `act` comes to, which opens a transaction and leaves nothing behind where that is undone.

    `ask` answers what comes up in it, and is called outside of it.
    """
    answers: dict[str, object] = {}
    while len(answers) < MOST:
        token = _ANSWERS.set(answers)
        try:
            return act()
        except NotAskedYet as question:
            wanted = question
        finally:
            _ANSWERS.reset(token)
        answers[wanted.digest] = ask(wanted.facts)
    return act()


def answer(digest: str, facts: Json) -> object:
    """The answer of this deed to a question; None where the question may be asked here. Raises `NotAskedYet`."""
    answers = _ANSWERS.get()
    if answers is None:
        return None
    if digest not in answers:
        raise NotAskedYet(digest, facts)
    return answers[digest]
