"""What the rehearsal of a version came to, in lines for whoever is to approve it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from storage.records import Json

_CASES, _LINES = 5, 5


def lines(result: Mapping[str, Json], changed: Sequence[str], outdated: Sequence[str] = ()) -> Iterator[str]:
    """The sum first, then what has `outdated` it, the cases that failed, and how the ways differ from those of the
    approved version; bounded.
    """
    failed = [each for each in result["cases"] if each["failures"]]
    passed = len(result["cases"]) - len(failed)
    said = [f"{passed} passed"] + [f"{len(failed)} failed"] * bool(failed) + ["not played"] * bool(result["problems"])
    covered = result["points"] - len(result["missed"])
    yield ", ".join(said) + (f"; {covered} of {result['points']} steps and ways covered" if result["points"] else "")
    if outdated:
        yield f"played before {' and '.join(outdated)} changed: save it again, and it is played anew"
    yield from result["problems"][:1]
    yield from (f"✕ {each['name']}: {each['failures'][0]}" for each in failed[:_CASES])
    yield from (f"{each} cases more fail" for each in [len(failed) - _CASES] if each > 0)
    yield from (f"the way has changed in {each}" for each in changed[:_LINES])
    yield from (f"the way has changed in {each} cases more" for each in [len(changed) - _LINES] if each > 0)
