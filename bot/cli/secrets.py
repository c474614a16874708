"""`secret …`: a value comes from standard input or a prompt that shows nothing, never from what was typed."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator, Mapping

from bot.cli import show
from bot.cli.connect import Refused
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Usage
from bot.cli.people_names import Names
from bot.grammar import UNREAD
from engine.config.secrets import MAX_BYTES
from storage.records import Json

SEEN = (
    "A value is never typed: by now it may stand in the shell's history and in the list of processes. If it was "
    "a secret, replace it where it is made. Then pipe it in, as in `runbook secret set NAME < FILE`, or type only "
    "`runbook secret set NAME` to be asked for it."
)


def listed(invocation: Invocation) -> Answer:
    """`secret list [NAME]`."""
    if invocation.command.words:
        found = invocation.api.get(f"secrets/{_name(invocation)}/versions")
        return Answer(found, map(_version_line, found))
    found = invocation.api.get("secrets")
    return Answer(found, (line for each in found for line in _lines(each)))


def set_value(invocation: Invocation) -> Answer:
    """`secret set NAME`, with the value from standard input."""
    if len(invocation.command.words) > 1 or invocation.command.words[0] == UNREAD:
        raise invocation.wrong(SEEN)
    name = _name(invocation)
    ruling = invocation.api.get("can", verb="secret set")
    if not ruling["allowed"]:  # nobody is asked for a value in vain
        raise Refused(403, {"code": "not_allowed", "detail": ruling["why"]})
    made = invocation.api.put(f"secrets/{name}", {"value": _value(name)})
    return Answer(made, [f"{name} is set: version {made['version']}. The next step that reads it uses it."])


def delete(invocation: Invocation) -> Answer:
    """`secret delete NAME`."""
    name = _name(invocation)
    if not invocation.sure([f"{name} will be erased for good."], "Go on?"):
        raise Usage("Nothing was erased.")
    done = invocation.api.delete(f"secrets/{name}")
    return Answer(done, [f"{name} is erased. Steps that read it fail, unless another source has it."])


def rotate_keys(invocation: Invocation) -> Answer:
    """`secret rotate-keys`; fails where a secret could not be moved under the first key."""
    done = invocation.api.post("secrets/rotate-keys")
    said = f"{done['rewrapped']} secrets were put under the key {done['key']}."
    return Answer(done, [*done["problems"], said], failed=bool(done["problems"]))


def _name(invocation: Invocation) -> str:
    name = invocation.command.words[0]
    if name == UNREAD:
        raise invocation.wrong("That is no secret's name: a lower-case letter, then letters, digits and underscores.")
    return name


def _value(name: str) -> str:
    """What is piped in, read no further than may be kept; at a terminal it is asked for and not shown."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name} (it is not shown): ")
    raw = sys.stdin.buffer.read(MAX_BYTES + 3)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Usage("What was piped in is no UTF-8 text, which a secret has to be.") from None


def _lines(each: Mapping[str, Json]) -> Iterator[str]:
    source = f"from {each['source']}" if each["source"] else "nowhere"
    hides = f", hiding {' and '.join(each['hides'])}" if each["hides"] else ""
    used = f"last used {show.when(each['last_used_at'])}" if each["last_used_at"] else "never used"
    stored = f"  {_version_line(each['stored'])}" if each["stored"] else ""
    yield f"{each['name']}  {source}{hides}{stored}  {used}"
    for use in each["runbooks"]:
        yield f"  read by {use['runbook']}, {_who(use['team'])}{'' if use['approved'] else ' (draft)'}"
    yield from (f"  proves events from {name}" for name in each["senders"])
    if each["problem"]:
        yield f"  ! {each['problem']}"


def _who(team: str | None) -> str:
    return f"which team {team} may run" if team else "which responders may run"


def _version_line(each: Mapping[str, Json]) -> str:
    what = "deleted" if each["deleted"] else "set"
    return f"version {each['version']} {what} by {Names(each)(each['set_by'])} {show.when(each['set_at'])}"
