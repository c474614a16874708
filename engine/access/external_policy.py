"""A further condition of the policy: what an Open Policy Agent says of a deed that our own rules allow.

It is asked before a transaction and again inside it. The second time the answer to the first counts, if it was about
exactly the same, so that no lock is held while another machine thinks. Whatever is no clear yes is a no.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.access import asked_before
from engine.access.actions import Action, Actor, Thing, Verdict
from engine.access.policy_input import About, facts_of
from engine.access.roles import named_in
from engine.runtime import Runtime
from engine.text.storable import clean_text
from engine.text.words import shortened
from storage import database
from storage.records import Json

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

DEADLINE_S = 1.0
USED_FOR_S = 10.0
MOST_BYTES = 64 * 1024
RULE = "An external policy has the last word."
_KEPT = 1000
_DECISION: ContextVar[tuple[str, str, float] | None] = ContextVar("policy_decision", default=None)
_answers: OrderedDict[str, tuple[Decision, float]] = OrderedDict()
_lock = threading.Lock()


class Unclear(Exception):
    """The policy gave no answer that says yes or no; in words."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy said. `id` is by which its own log knows the decision, "" where it names none.

    `unclear` says why there is no clear answer, "" where there is one.
    """

    allowed: bool
    reason: str = ""
    id: str = ""
    unclear: str = ""


def is_asked(rt: Runtime, actor: Actor, action: Action) -> bool:
    """Whether an external policy has the last word about this: about all that people do, and nothing they look at."""
    return rt.settings.policy_url is not None and action is not Action.VIEW and actor.door != "system"


def refusal(rt: Runtime, actor: Actor, action: Action, thing: Thing, about: About | None) -> Verdict | None:
    """The verdict that refuses a deed which our rules allow, or None where the policy allows it too."""
    _DECISION.set(None)
    if not is_asked(rt, actor, action):
        return None
    facts = rt.redactor().redact_json(facts_of(rt, actor, action, thing, about))
    digest = hashlib.sha256(json.dumps([rt.settings.policy_url, facts], sort_keys=True).encode()).hexdigest()
    decided = _decided(rt, digest, facts)
    if decided.unclear:
        return _refused(rt, f"The external policy {decided.unclear}, so this was refused. Try again in a minute.")
    if not decided.allowed:
        said = f": {decided.reason}" if decided.reason else ", and gives no reason."
        named = f" Its decision is {decided.id}." if decided.id else ""
        return _refused(rt, f"The external policy refuses this{said}{named}")
    _DECISION.set((actor.user_id, decided.id, time.monotonic()))
    return None


def asking_before(rt: Runtime, act: Callable[[], T]) -> T:
    """Do `act`, which opens a transaction, so that whatever it asks the policy is asked while none is open.

    It is done anew for each question that comes up in it, so it may change nothing but the database.
    """
    return act() if rt.settings.policy_url is None else asked_before.do(act, partial(_clear_or_refused, rt))


def _decided(rt: Runtime, digest: str, facts: Json) -> Decision:
    before = asked_before.answer(digest, facts) or _known(digest) if database.in_transaction() else None
    if isinstance(before, Decision):
        return before
    decided = _clear_or_refused(rt, facts)
    if decided.allowed:
        _keep(digest, decided)
    return decided


def _clear_or_refused(rt: Runtime, facts: Json) -> Decision:
    try:
        return ask(rt, facts)
    except Unclear as trouble:
        return Decision(False, unclear=str(trouble))


def decision_of(user_id: str) -> str:
    """The id of the decision by which this person does what they do right now, "" where there is none."""
    found = _DECISION.get()
    fits = found is not None and found[0] == user_id and time.monotonic() - found[2] < USED_FOR_S
    return found[1] if found is not None and fits else ""


def ask(rt: Runtime, facts: Json) -> Decision:
    """Ask it, for a second at most. Raises `Unclear`."""
    at = f"{datetime.fromtimestamp(database.now() / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    body = json.dumps({"input": {**facts, "time": at}}).encode()
    client = _trusting(rt.settings.policy_cacert)
    asked = _threads().submit(_fetch, client, str(rt.settings.policy_url), rt.settings.policy_token, body)
    try:
        return _read(rt, asked.result(DEADLINE_S))
    except TimeoutError:
        asked.cancel()
        raise Unclear(f"did not answer within {DEADLINE_S:g} s") from None


def _fetch(client: httpx.Client, url: str, token: str | None, body: bytes) -> bytes:
    import httpx  # a process without a policy does without it

    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    found, until = b"", time.monotonic() + DEADLINE_S
    try:
        with client.stream("POST", url, content=body, headers=headers) as answer:
            if answer.status_code != 200:
                raise Unclear(f"answered with status {answer.status_code}")
            for part in answer.iter_bytes():
                found += part
                if len(found) > MOST_BYTES:
                    raise Unclear(f"answered with more than {MOST_BYTES // 1024} KiB")
                if time.monotonic() > until:
                    raise Unclear(f"did not answer within {DEADLINE_S:g} s")
    except httpx.HTTPError as error:
        raise Unclear(f"could not be asked ({type(error).__name__})") from error
    return found


def _read(rt: Runtime, body: bytes) -> Decision:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Unclear("answered with something that is no JSON") from None
    if not isinstance(answer, dict):
        raise Unclear("answered with something that is no decision")
    result, decision_id = answer.get("result"), answer.get("decision_id")
    named = _told(rt, decision_id)[:100]
    if result is None:  # as OPA says of a rule that is not defined, or not for this
        return Decision(False, "it says nothing about this.", named)
    allowed = result.get("allow") if isinstance(result, dict) else result
    if not isinstance(allowed, bool):
        raise Unclear("answered with something that is no decision")
    return Decision(allowed, shortened(_told(rt, result.get("reason"))) if isinstance(result, dict) else "", named)


def _told(rt: Runtime, said: Json) -> str:
    """What the policy says in words, fit to be kept and shown; "" for anything but text."""
    return clean_text(rt.redactor().redact(said)) if isinstance(said, str) else ""


def _refused(rt: Runtime, why: str) -> Verdict:
    return Verdict(False, why, RULE, "", named_in(rt, "platform_admins"))


def _known(digest: str) -> Decision | None:
    with _lock:
        found = _answers.get(digest)
    return found[0] if found is not None and time.monotonic() - found[1] < USED_FOR_S else None


def _keep(digest: str, allowed: Decision) -> None:
    with _lock:
        _answers[digest] = (allowed, time.monotonic())
        _answers.move_to_end(digest)
        while len(_answers) > _KEPT:
            _answers.popitem(last=False)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="policy")


def _trusting(cacert: Path | None) -> httpx.Client:
    """Raises `Unclear` where the file is none that can be used."""
    try:
        return _client(cacert)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
        told = why or "it holds no certificate in PEM"
        raise Unclear(f"could not be asked (POLICY_CACERT, {cacert}, cannot be used: {told})") from error


@cache
def _client(cacert: Path | None) -> httpx.Client:
    import httpx

    trusted = ssl.create_default_context(cafile=cacert) if cacert else httpx.create_ssl_context(trust_env=False)
    return httpx.Client(trust_env=False, follow_redirects=False, timeout=DEADLINE_S, verify=trusted)
