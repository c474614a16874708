"""Secrets over REST: what is sent comes back in no answer, and a keyed request leaves nothing to guess it by."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest
from api_client import Api, refused
from harness import ALICE, CAROL

from engine.text.redaction import Redactor
from storage import database
from storage.columns import dicts
from storage.tables import ALL

VALUE = "r3st-canary-of-the-mine"
BODY = {"value": VALUE}


def kept() -> str:
    with database.reading():
        return "\n".join(str(row) for table in ALL for row in dicts(table.select()))


def test_set_listed_and_erased(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Each answer says who and when, none the value; so do the log and the tables."""
    caplog.set_level(logging.DEBUG)
    made = api.ask("PUT", "/secrets/lb_token", ALICE, BODY)
    assert made.status_code == 200, made.text
    assert {"version", "deleted", "set_by", "set_at", "people"} == set(made.json())
    assert api.harness.rt.secrets(Redactor()).resolve("lb_token") == VALUE
    (found,) = [each for each in api.get("/secrets", ALICE) if each["name"] == "lb_token"]
    assert (found["source"], found["stored"]["version"], found["problem"]) == ("store", 1, None)
    versions = api.get("/secrets/lb_token/versions", ALICE)
    gone = api.ask("DELETE", "/secrets/lb_token", ALICE)
    assert gone.json()["deleted"] is True
    refused(api.ask("DELETE", "/secrets/lb_token", ALICE), 404, "not_found")
    assert VALUE not in made.text + json.dumps([found, versions]) + gone.text + caplog.text + kept()


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("lb_token", {"value": VALUE, "more": 1}, 422), ("lb_token", {"valeu": VALUE}, 422), ("lb_token", VALUE, 422),
        ("lb_token", {"value": [VALUE]}, 422), ("lb_token", {"value": VALUE * 4000}, 422), ("Lb-Token", BODY, 422),
        ("lb_token", {"value": VALUE + "\0"}, 422), ("lb_token", {"value": "abc"}, 422), ("a" * 101, BODY, 422),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_without_the_value(
    api: Api, caplog: pytest.LogCaptureFixture, name: str, body: object, status: int
) -> None:
    """Whatever part of the body it stands in."""
    caplog.set_level(logging.DEBUG)
    answer = api.ask("PUT", f"/secrets/{name}", ALICE, body)
    assert answer.status_code == status, answer.text
    assert VALUE not in answer.text + caplog.text + kept()


def test_a_key_makes_nothing_remember_the_value(api: Api) -> None:
    """A keyed request is kept by its digest, by which a value could be guessed: a PUT is kept nowhere."""
    key = {"Idempotency-Key": "once"}
    sent = [api.ask("PUT", "/secrets/lb_token", ALICE, BODY, key) for _ in range(2)]
    assert [each.json()["version"] for each in sent] == [1, 2]
    everything = kept()
    for path in ("/api/v1/secrets/lb_token", "/secrets/lb_token"):
        line = f"PUT {path}?\n".encode()
        assert hashlib.sha256(line + sent[0].request.content).hexdigest() not in everything
    assert "once" not in everything


def test_a_token_without_the_scope_sets_nothing(api: Api) -> None:
    """Also a platform admin's, and whatever is wrong with the body is not told."""
    header = {"Authorization": f"Bearer {api.token(ALICE, 'read,run,approve')}"}
    answer = api.client.put("/api/v1/secrets/lb_token", json={"value": "x"}, headers=header)
    refused(answer, 403, "not_allowed")
    refused(api.ask("PUT", "/secrets/lb_token", CAROL, {"value": "x"}), 403, "not_allowed")
    assert api.ask("PUT", "/secrets/lb_token", None, BODY).status_code == 401
