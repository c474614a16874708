"""Stored secrets: who may set them, what is kept of them, and what cannot be done with what is kept."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, OSCAR, Harness, Target, http, runbook

from engine.access import secrets as stored
from engine.access.policy import Actor
from engine.config.secret_keys import Keyring, SecretUnreadable, keyring_of, of_stored
from engine.config.setting_values import NamedKey
from engine.errors import InvalidParameters, NotAllowed, NotFound
from engine.queries import secrets as views
from engine.text.redaction import Redactor
from storage import audit, database
from storage import secrets as rows
from storage.columns import dicts
from storage.secret_tables import SecretVersion
from storage.states import Scope
from storage.tables import ALL

VALUE = "st0red-canary-v1 of the mine"
OTHER = "an0ther-canary-v2 of the mine"
OLD, NEW = NamedKey("k1", bytes(range(32))), NamedKey("k2", bytes(range(1, 33)))


@pytest.fixture
def harness(harness: Harness) -> Harness:
    harness.sync()
    return harness


def with_keys(harness: Harness, *keys: NamedKey) -> Harness:
    """The same deployment as a process sees it that was started with these SECRET_KEYS."""
    from engine.config.stored_secrets import StoredSecrets

    settings = replace(harness.rt.settings, secret_keys=keys)
    source = StoredSecrets(harness.rt.workspace_id, keyring_of(settings))
    harness.rt = replace(harness.rt, settings=settings, sources=(source,))
    return harness


def value_of(harness: Harness, name: str = "lb_token") -> str:
    return harness.rt.secrets(Redactor()).resolve(name)


def kept() -> list[dict[str, Any]]:
    with database.reading():
        return dicts(SecretVersion.select().order_by(SecretVersion.id))


def test_set_and_used_by_the_next_step(harness: Harness, target: Target) -> None:
    """A worker that runs already uses what was set meanwhile, and the newest version each time."""
    auth = {"type": "bearer", "token": "{{ secrets.lb_token }}"}
    harness.publish(runbook("calls", http("call", target.url("/a"), auth=auth)))
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    harness.run(harness.start("calls"))
    stored.set_value(harness.rt, ALICE, "lb_token", OTHER)
    run = harness.start("calls")
    harness.run(run)
    assert harness.status(run) == "SUCCESS"
    sent = [request.decode() for request in target.server.requests]
    assert [VALUE in each for each in sent] == [True, False]
    assert OTHER in sent[1]


def test_only_the_newest_value_is_kept_and_who_set_each(harness: Harness) -> None:
    """The older versions keep who and when; a deletion is a version without anything of a value."""
    stored.set_value(harness.rt, ALICE, "lb_token", f"{VALUE}\n")
    harness.clock.tick(1000)
    stored.set_value(harness.rt, ALICE, "lb_token", OTHER)
    assert value_of(harness) == OTHER
    stored.delete(harness.rt, ALICE, "lb_token")
    assert [row["ciphertext"] or row["wrapped_key"] or row["key_id"] for row in kept()] == [None] * 3
    found = views.versions(harness.rt, ALICE, "lb_token")
    assert [(each.version, each.deleted, each.set_by) for each in found] == [
        (3, True, ALICE.user_id), (2, False, ALICE.user_id), (1, False, ALICE.user_id),
    ]  # fmt: skip
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    assert views.versions(harness.rt, ALICE, "lb_token")[0].version == 4
    assert value_of(harness) == VALUE


def test_the_audit_has_the_version_and_nothing_of_the_value(harness: Harness) -> None:
    """Neither the value nor its length, in any table."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    stored.delete(harness.rt, ALICE, "lb_token")
    with database.reading():
        found = audit.of_thing(harness.rt.workspace_id, "secret:lb_token")
        everything = "\n".join(str(row) for table in ALL for row in dicts(table.select()))
    assert [(each.action, each.detail) for each in found] == [
        ("secret.set", {"version": 1, "door": "slack"}), ("secret.delete", {"version": 2, "door": "slack"}),
    ]  # fmt: skip
    assert VALUE not in everything
    assert base64.b64encode(VALUE.encode()).decode()[:12] not in everything


@pytest.mark.parametrize("who", [BOB, CAROL, OSCAR], ids=["team admin", "member", "nobody"])
def test_only_platform_admins_set_and_delete(harness: Harness, who: Actor) -> None:
    """And nothing changes for the others, whatever else is wrong with what they ask."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    for act in (
        lambda: stored.set_value(harness.rt, who, "lb_token", OTHER),
        lambda: stored.set_value(harness.rt, who, "Not A Name", ""),
        lambda: stored.delete(harness.rt, who, "lb_token"),
        lambda: stored.delete(harness.rt, who, "nothing"),
        lambda: stored.rotate_keys(harness.rt, who),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert value_of(harness) == VALUE
    assert len(kept()) == 1


@pytest.mark.parametrize("scope", [Scope.READ, Scope.RUN, Scope.APPROVE])
def test_a_token_needs_the_scope_admin(harness: Harness, scope: Scope) -> None:
    """Even a platform admin's."""
    who = replace(ALICE, scopes=frozenset({Scope.READ, scope}))
    with pytest.raises(NotAllowed, match="lacks the scope admin"):
        stored.set_value(harness.rt, who, "lb_token", VALUE)


def test_a_role_that_ended_meanwhile_sets_nothing(harness: Harness) -> None:
    """It is asked again inside the transaction that acts."""
    harness.know_groups({"S0PLATFORM": ("platform", set())})
    with pytest.raises(NotAllowed):
        stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    assert kept() == []


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("../x", VALUE, "name"), ("Lb", VALUE, "name"), ("", VALUE, "name"), ("a" * 64, VALUE, "name"),
        ("ok", "abc", "value"), ("ok", "", "value"), ("ok", "x" * 65_537, "value"), ("ok", "ab\0cdefgh", "value"),
        ("ok", "ab\ud800cdefgh", "value"), ("ok", "é" * 40_000, "value"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_without_being_shown(
    harness: Harness, name: str, value: str, field: str
) -> None:
    """The sentence names what is wrong and never the value."""
    with pytest.raises(InvalidParameters) as error:
        stored.set_value(harness.rt, ALICE, name, value)
    assert set(error.value.fields) == {field}
    assert value not in str(error.value) or not value
    assert kept() == []


def test_a_private_key_has_many_lines(harness: Harness) -> None:
    """What is kept comes back letter by letter."""
    pem = "-----BEGIN KEY-----\n" + "\n".join("x1" * 32 for _ in range(60)) + "\n-----END KEY-----"
    stored.set_value(harness.rt, ALICE, "pem", pem)
    assert value_of(harness, "pem") == pem


def test_nothing_is_deleted_twice(harness: Harness) -> None:
    """A secret that is not there, or not any more, is not found."""
    with pytest.raises(NotFound):
        stored.delete(harness.rt, ALICE, "lb_token")
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    stored.delete(harness.rt, ALICE, "lb_token")
    with pytest.raises(NotFound):
        stored.delete(harness.rt, ALICE, "lb_token")


def test_the_environment_hides_the_store(harness: Harness) -> None:
    """The first source that has the name wins, and the list says what it hides."""
    stored.set_value(harness.rt, ALICE, "canary", VALUE)
    assert value_of(harness, "canary") == "c4nary-b1rd-of-the-m1ne"
    (found,) = [each for each in views.listing(harness.rt, ALICE) if each.name == "canary"]
    assert (found.source, found.hides) == ("environment", ("store",))


def test_what_is_kept_cannot_be_moved(harness: Harness) -> None:
    """To another name, version or workspace, nor a data key to another row: all of it is bound to where it stands."""
    ring = Keyring((OLD,), lambda: b"")
    sealed = ring.seal(of_stored(1, "a", 1), VALUE)
    assert ring.open(of_stored(1, "a", 1), sealed) == VALUE
    for elsewhere in ((1, "b", 1), (1, "a", 2), (2, "a", 1)):
        with pytest.raises(SecretUnreadable, match="cannot be decrypted"):
            ring.open(of_stored(*elsewhere), sealed)
        with pytest.raises(SecretUnreadable):
            ring.rewrap(of_stored(*elsewhere), sealed)
    other = ring.seal(of_stored(1, "a", 1), OTHER)
    for mixed in (replace(sealed, wrapped_key=other.wrapped_key), replace(sealed, ciphertext=other.ciphertext)):
        with pytest.raises(SecretUnreadable):
            ring.open(of_stored(1, "a", 1), mixed)
    for broken in ("", "AAAA", "%", sealed.ciphertext[:-4] + "AAA="):
        with pytest.raises(SecretUnreadable):
            ring.open(of_stored(1, "a", 1), replace(sealed, ciphertext=broken))
    renamed = Keyring((NamedKey("k9", OLD.key),), lambda: b"")
    with pytest.raises(SecretUnreadable):
        renamed.open(of_stored(1, "a", 1), replace(sealed, key_id="k9"))


def test_a_row_that_was_moved_in_the_database_is_refused(harness: Harness) -> None:
    """Whoever can write to the table, but has no key, gives no secret another one's value."""
    stored.set_value(harness.rt, ALICE, "mine", VALUE)
    stored.set_value(harness.rt, ALICE, "theirs", OTHER)
    rows_ = {row["name"]: row for row in kept()}
    taken = {name: rows_["theirs"][name] for name in ("key_id", "wrapped_key", "ciphertext")}
    with database.transaction():
        SecretVersion.update(**taken).where(SecretVersion.name == "mine").execute()
    with pytest.raises(SecretUnreadable, match="secret mine cannot be decrypted"):
        value_of(with_keys(harness), "mine")


def test_nothing_shows_what_is_kept(harness: Harness) -> None:
    """Neither the key nor the wrapped key stands in a repr."""
    sealed = Keyring((OLD,), lambda: b"").seal(of_stored(1, "a", 1), VALUE)
    assert sealed.wrapped_key not in repr(sealed)
    assert sealed.ciphertext not in repr(sealed)
    assert repr(OLD) == "NamedKey(id='k1')"


def test_without_secret_keys_one_is_derived(harness: Harness) -> None:
    """Its id is default, and it opens what it sealed also when SECRET_KEYS is set later, until a rotation."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    assert kept()[0]["key_id"] == "default"
    with_keys(harness, NEW)
    assert value_of(harness) == VALUE
    done = stored.rotate_keys(harness.rt, ALICE)
    assert (done.key_id, done.rewrapped, done.problems) == ("k2", 1, ())
    assert kept()[0]["key_id"] == "k2"
    assert value_of(with_keys(harness, NEW)) == VALUE


def test_another_secret_key_opens_nothing(harness: Harness) -> None:
    """The message says which key is missing, and a step that needs it fails without being sent."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    harness.rt = replace(harness.rt, settings=replace(harness.rt.settings, secret_key=os.urandom(32)))
    with pytest.raises(SecretUnreadable, match="SECRET_KEY was changed"):
        value_of(with_keys(harness))


def test_an_unknown_key_fails_only_what_needs_it(harness: Harness, target: Target) -> None:
    """The message names the id; other secrets and steps go on, and nothing falls through to another source."""
    stored.set_value(with_keys(harness, OLD).rt, ALICE, "old_one", VALUE)
    stored.set_value(with_keys(harness, NEW, OLD).rt, ALICE, "new_one", OTHER)
    with_keys(harness, NEW)
    with pytest.raises(SecretUnreadable, match="key k1, which SECRET_KEYS does not name"):
        value_of(harness, "old_one")
    assert value_of(harness, "new_one") == OTHER
    (problem,) = [each for each in harness.rt.secrets(Redactor()).register_all() if "old_one" in each]
    assert "k1" in problem
    done = stored.rotate_keys(harness.rt, ALICE)
    assert done.rewrapped == 0
    assert ["old_one" in each for each in done.problems] == [True]


@pytest.mark.parametrize("setting", ["SECRET_KEYS", "SECRET_KEY"])
def test_a_key_that_was_replaced_under_its_id_is_told(harness: Harness, setting: str) -> None:
    """A rotation has nothing to rewrap then, and all the same says which secret is lost; the others are kept."""
    keys = [os.urandom(32) for _ in range(2)]
    changed = [
        {"secret_keys": (NamedKey("k1", key),)} if setting == "SECRET_KEYS" else {"secret_key": key} for key in keys
    ]
    harness.settle_for(**changed[0])
    stored.set_value(harness.rt, ALICE, "old_one", VALUE)
    assert stored.rotate_keys(harness.rt, ALICE).problems == ()
    harness.settle_for(**changed[1])
    stored.set_value(harness.rt, ALICE, "new_one", OTHER)
    done = stored.rotate_keys(harness.rt, ALICE)
    assert done.rewrapped == 0
    assert ["old_one" in each for each in done.problems] == [True]


def test_rotating_twice_and_while_secrets_are_set(harness: Harness) -> None:
    """Every value can be read all the time, whoever rotates or sets at once, and each ends under the new key."""
    for number in range(120):
        stored.set_value(with_keys(harness, OLD).rt, ALICE, f"s{number}", f"{VALUE} {number}")
    with_keys(harness, NEW, OLD)
    wrong: list[object] = []
    stop = threading.Event()

    def reads() -> None:
        while not stop.is_set():
            for number in range(0, 120, 7):
                fresh = with_keys_of(harness, NEW, OLD)
                try:
                    if not fresh.read(f"s{number}").startswith(("st0red", "an0ther")):
                        wrong.append(number)
                except Exception as error:
                    wrong.append(error)

    def sets() -> None:
        for number in range(0, 120, 3):
            stored.set_value(harness.rt, ALICE, f"s{number}", f"{OTHER} {number}")

    done: list[stored.Rotated] = []
    acts = [lambda: done.append(stored.rotate_keys(harness.rt, ALICE))] * 2 + [sets]
    reading = threading.Thread(target=reads)
    reading.start()
    threads = [threading.Thread(target=act) for act in acts]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    stop.set()
    reading.join(10)
    assert wrong == []
    assert [each.problems for each in done] == [(), ()]
    with database.reading():
        assert {each.id for each in rows.keys_in_use(harness.rt.workspace_id)} == {"k2"}
    assert value_of(harness, "s1") == f"{VALUE} 1"
    assert value_of(harness, "s3") == f"{OTHER} 3"


def with_keys_of(harness: Harness, *keys: NamedKey) -> Any:
    from engine.config.stored_secrets import StoredSecrets

    return StoredSecrets(harness.rt.workspace_id, Keyring(keys, lambda: b"x" * 32))


def test_two_set_at_once(harness: Harness) -> None:
    """Each gets a version of its own, and the last one counts."""
    threads = [
        threading.Thread(target=stored.set_value, args=(harness.rt, ALICE, "lb_token", f"{VALUE} {number}"))
        for number in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    found = views.versions(harness.rt, ALICE, "lb_token")
    assert [each.version for each in found] == list(range(8, 0, -1))
    assert len([row for row in kept() if row["ciphertext"]]) == 1
    assert value_of(harness).startswith(VALUE)


def test_the_list_says_where_from_and_what_for(harness: Harness, target: Target) -> None:
    """Runbooks by whether they are approved, when it was last used, and what is missing."""
    auth = {"type": "bearer", "token": "{{ secrets.lb_token }}"}
    harness.publish(runbook("calls", http("call", target.url("/a"), auth=auth)))
    harness.write(drafted=runbook("drafted", http("call", target.url("/a"), auth=auth), team=None))
    harness.sync()
    found = {each.name: each for each in views.listing(harness.rt, ALICE)}
    assert (found["lb_token"].source, found["lb_token"].stored) == ("", None)
    assert "no secret lb_token" in found["lb_token"].problem
    assert found["lb_token"].uses == (views.Use("calls", "payments", True), views.Use("drafted", None, False))
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    found = {each.name: each for each in views.listing(harness.rt, BOB)}
    assert (found["lb_token"].source, found["lb_token"].problem) == ("store", "")
    assert found["lb_token"].stored is not None
    assert VALUE not in json.dumps([dataclasses.asdict(each) for each in found.values()])
    assert views.names_in_use(harness.rt) == {"lb_token"}


def test_who_has_no_role_sees_no_names(harness: Harness) -> None:
    """In person; and by a token only what the person's runbooks read is there."""
    stored.set_value(harness.rt, ALICE, "unused", VALUE)
    for act in (lambda: views.listing(harness.rt, OSCAR), lambda: views.versions(harness.rt, OSCAR, "unused")):
        with pytest.raises(NotAllowed):
            act()
    by_token = replace(BOB, scopes=frozenset({Scope.READ}))
    assert views.listing(harness.rt, by_token) == []
    with pytest.raises(NotFound):
        views.versions(harness.rt, by_token, "unused")
    assert [each.name for each in views.listing(harness.rt, BOB)] == ["canary", "unused"]


def test_what_is_stored_is_masked_in_what_people_give(harness: Harness) -> None:
    """From the moment when it was set, also by a process that never used it."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    assert harness.rt.redactor().redact(f"a {VALUE} b") == "a ‹secret lb_token› b"
