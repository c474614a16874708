"""Whose approvals go together at a gate with a form: only those with the same answers approve the same. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from storage.records import Json, VoteRecord
from storage.states import Decision


def alike(votes: Sequence[VoteRecord], answers: Json) -> list[VoteRecord]:
    """The approvals with these answers, in the order in which they were given."""
    wanted = _written(answers)
    return [each for each in votes if each.decision is Decision.APPROVE and _written(each.answers) == wanted]


def leading(votes: Sequence[VoteRecord]) -> list[VoteRecord]:
    """The most approvals that have the same answers; of several as many those that were there first."""
    groups = [alike(votes, each.answers) for each in votes if each.decision is Decision.APPROVE]
    return max(groups, key=len, default=[])


def _written(answers: Json) -> str:
    """Answers with their types: 1 and true are two, and none is as good as an empty form."""
    return json.dumps(answers or {}, sort_keys=True)
