"""Whatever is done to the audit's rows in the database is refused there, and found and named where it was done."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from harness import HOUR, Harness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tampering import Undo, renumber, tampering
from test_evidence import wrote

from bot.cli import audit_verify
from engine.config import audit_keys
from engine.config.setting_values import NamedKey
from engine.queries import audit_chain, audit_links
from engine.queries.audit_chain import Anchor, Verified
from storage import audit, database, sql
from storage.columns import proxy

ROWS = 8


@pytest.fixture
def chain(harness: Harness) -> Verified:
    """The chain of a few rows, as it was before anything happened to it."""
    wrote(harness, ROWS)
    return audit_chain.verify(harness.rt)


def refused(statement: str) -> bool:
    try:
        with database.transaction():
            proxy.obj.execute_sql(statement)
            raise Undo
    except Undo:
        return False
    except Exception as error:
        return "audit rows are" in str(error)


COLUMNS = "id, workspace_id, at, actor, action, thing, severity, detail"
FORBIDDEN = (
    "UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3",
    "UPDATE audit SET seq = NULL, hash = NULL, tag = NULL, mac = NULL WHERE seq = 3",
    "UPDATE audit SET hash = '00' WHERE seq = 3",
    "UPDATE audit SET workspace_id = 2 WHERE seq = 3",
    "DELETE FROM audit WHERE seq = 3",
    "DELETE FROM audit",
    f"INSERT INTO audit ({COLUMNS}, seq) VALUES (777, 1, 1, 'a', 'b', 'c', 'INFO', 'null', 99)",
)
ONLY_SQLITE = (
    f"INSERT OR REPLACE INTO audit ({COLUMNS}) SELECT id, 1, 1, 'a', 'b', 'c', 'INFO', 'null' FROM audit WHERE seq = 3",
    "UPDATE OR REPLACE audit SET seq = 3, hash = '00' WHERE seq IS NULL",
)


def test_the_database_itself_refuses_every_change_but_sealing(harness: Harness, chain: Verified) -> None:
    """Of sealed rows and of those that are not sealed yet, however it is put."""
    wrote(harness, 1)
    unsealed = "UPDATE audit SET actor = 'U0OTHER01' WHERE seq IS NULL"
    kept_out = [f"UPDATE audit SET seq = {seq}, hash = 'x' WHERE seq IS NULL" for seq in (-1, 0, chain.seq + 2, 2**62)]
    more = ("TRUNCATE audit",) if database.is_postgresql() else ONLY_SQLITE
    for statement in (*FORBIDDEN, *kept_out, unsealed, "DELETE FROM audit WHERE seq IS NULL", *more):
        assert refused(statement), statement
    assert audit_chain.verify(harness.rt, expected=(chain.seq, chain.hash)).troubles == ()


_TAMPERING = st.sampled_from(["flip", "delete", "cut out", "swap", "insert", "truncate"])
_FLIPPED = st.sampled_from(["actor", "action", "thing", "detail", "severity", "at", "hash", "tag", "mac", "mac_key"])
_NEW = {"severity": "'CRITICAL'", "detail": "'[]'", "at": "at + 1"}


def tamper(kind: str, place: int, other: int, column: str) -> tuple[int, str]:
    """Do it; the first row that is wrong by it, and a word that says what was done."""
    if kind == "flip":
        value = _NEW.get(column, "'x'")
        sql.run(f"UPDATE audit SET {column} = {value} WHERE seq = ?", [place])
        return place, "key" if column == "mac_key" else "changed"
    if kind == "delete":
        sql.run("DELETE FROM audit WHERE seq = ?", [place])
        return place, "deleted"
    if kind == "cut out":
        sql.run("DELETE FROM audit WHERE seq = ?", [place])
        renumber(place + 1, -1)
        return place, "deleted"
    if kind == "swap":
        for was, now in ((place, -1), (other, place), (-1, other)):
            sql.run("UPDATE audit SET seq = ? WHERE seq = ?", [now, was])
        return min(place, other), "reordered"
    if kind == "truncate":
        sql.run("DELETE FROM audit WHERE seq >= ?", [place])
        return place, "cut off the end"
    renumber(place, 1)
    copied = "workspace_id, at, actor, action, thing, severity, detail, hash, tag, mac, mac_key"
    sql.run(
        f"INSERT INTO audit ({copied}, seq) SELECT {copied}, ? FROM audit WHERE seq = ?",
        [place, other + (other >= place)],
    )
    return place, "inserted"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=_TAMPERING, place=st.integers(1, ROWS - 1), other=st.integers(1, ROWS), column=_FLIPPED)
def test_any_single_act_is_named_at_its_first_row(
    harness: Harness, chain: Verified, kind: str, place: int, other: int, column: str
) -> None:
    """Also where whoever did it gave the rows behind it new numbers."""
    if kind == "swap" and place == other:
        return
    with tampering():
        first, word = tamper(kind, place, other, column)
        found = audit_chain.verify(harness.rt, anchors=[Anchor(chain.seq, chain.hash, chain.mac)])
        assert found.troubles[0].seq == first, (kind, place, other, column, found.troubles)
        assert word in found.troubles[0].what, (kind, place, other, column, found.troubles)
    assert audit_chain.verify(harness.rt).troubles == ()


@pytest.mark.parametrize("column", ["hash", "tag", "mac", "mac_key"])
def test_a_seal_with_letters_that_no_seal_has_is_named(harness: Harness, chain: Verified, column: str) -> None:
    """Whoever verifies is told of the row, and not that something went wrong."""
    with tampering():
        sql.run(f"UPDATE audit SET {column} = 'é' WHERE seq = 3")
        assert audit_chain.verify(harness.rt).troubles[0].seq == 3


UNREADABLE = {"severity": "'LOUD'", "detail": "'no json'"}


@pytest.mark.parametrize("column", UNREADABLE)
def test_a_row_that_cannot_be_read_is_named(harness: Harness, chain: Verified, column: str) -> None:
    with tampering():
        sql.run(f"UPDATE audit SET {column} = {UNREADABLE[column]} WHERE seq = 3")
        found = audit_chain.verify(harness.rt, anchors=[Anchor(chain.seq, chain.hash, chain.mac)])
        assert [(each.seq, "cannot be read" in each.what) for each in found.troubles] == [(3, True)]


def test_a_row_that_cannot_be_read_keeps_no_other_from_being_sealed(harness: Harness, chain: Verified) -> None:
    """What is not sealed could be altered later, and sealed as it is then."""
    with tampering():
        sql.run(f"INSERT INTO audit ({COLUMNS}) VALUES (777, 1, 1, 'a', 'b', 'c', 'LOUD', 'null')")
        audit.write(harness.rt.workspace_id, "U0ALICE01", "test.row", "thing")
        reseal(harness)
        found = audit_chain.verify(harness.rt)
        assert found.seq == chain.seq + 1
        assert ["777" in each.what for each in found.troubles] == [True]


def reseal(harness: Harness) -> None:
    """Seal in the transaction that is open."""
    before = audit_links.place(audit.head(harness.rt.workspace_id))
    for row in audit.unsealed(harness.rt.workspace_id, 100):
        sealed = audit_links.sealed(row, before, audit_keys.of(harness.rt.settings))
        audit.seal([sealed])
        before = audit_links.place(sealed)


@pytest.mark.parametrize("lacks", ["key", "mac"])
def test_a_chain_made_anew_without_the_key_is_found(harness: Harness, chain: Verified, lacks: str) -> None:
    """Every hash fits; what needs the key does not, and taking it away is found from the first row on that lacks it."""
    with tampering():
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3")
        if lacks == "mac":
            sql.run("UPDATE audit SET tag = NULL, mac = NULL, mac_key = NULL WHERE seq >= 3")
        before = audit_links.place(audit.sealed(harness.rt.workspace_id, 1, 2, 1)[0])
        for row in audit.sealed(harness.rt.workspace_id, 2, None, 100):
            made = audit_chain.link(before.hash, audit_chain.content(row))
            sql.run("UPDATE audit SET hash = ? WHERE seq = ?", [made, row.seq])
            before = audit_links.Place(row.seq or 0, made)
        found = audit_chain.verify(harness.rt)
        assert found.troubles[0].seq == 3
        assert ("changed" if lacks == "key" else "lost its tag and mac") in found.troubles[0].what


def test_an_anchor_finds_a_chain_made_anew_by_who_has_the_key(harness: Harness, chain: Verified) -> None:
    """Nothing in the database says so; the head that was noted elsewhere does."""
    with tampering():
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3")
        sql.run("UPDATE audit SET seq = NULL, hash = NULL, tag = NULL, mac = NULL WHERE seq >= 3")
        reseal(harness)
        assert audit_chain.verify(harness.rt).troubles == ()
        found = audit_chain.verify(harness.rt, anchors=[Anchor(chain.seq, chain.hash, chain.mac)])
        assert (found.troubles[0].seq, "noted elsewhere" in found.troubles[0].what) == (chain.seq, True)


@pytest.mark.parametrize("seq", [-1, 0, -(2**63)])
def test_a_row_that_was_kept_out_of_the_chain_is_found(harness: Harness, chain: Verified, seq: int) -> None:
    """By a number that no row of a chain has."""
    assert chain.troubles == ()
    with tampering():
        audit.write(harness.rt.workspace_id, "U0OTHER01", "break_glass.agree", "break_glass:1")
        sql.run("UPDATE audit SET seq = ?, hash = 'x' WHERE seq IS NULL", [seq])
        found = audit_chain.verify(harness.rt)
        assert (found.troubles[0].seq, "kept out" in found.troubles[0].what) == (seq, True)


def test_of_two_heads_with_one_number_each_counts(harness: Harness, chain: Verified) -> None:
    """Rows that were cut off and made up for by as many others are found by the head that was noted before."""
    first = Anchor(chain.seq, chain.hash, chain.mac)
    with tampering():
        sql.run("DELETE FROM audit WHERE seq > ?", [chain.seq - 3])
        for _ in range(3):
            audit.write(harness.rt.workspace_id, "U0OTHER01", "test.row", "thing")
        reseal(harness)
        now = audit_chain.verify(harness.rt)
        second = Anchor(now.seq, now.hash, now.mac)
        assert (now.seq, now.troubles) == (chain.seq, ())
        for anchors in ([first, second], [second, first]):
            assert "noted elsewhere" in audit_chain.verify(harness.rt, anchors=anchors).troubles[0].what


def test_heads_before_the_row_that_is_begun_with_are_not_said_to_be_compared(harness: Harness, chain: Verified) -> None:
    """They belong to rows that nobody looked at."""
    anchors = [Anchor(3, "0" * 64), Anchor(chain.seq, chain.hash, chain.mac)]
    found = audit_chain.verify(harness.rt, since=5, anchors=anchors)
    assert (found.troubles, found.compared) == ((), 1)
    assert "1 of 2 heads noted elsewhere were compared" in audit_verify._summary(found, 2)


def test_altered_rows_that_were_given_an_older_time_are_found_since_then(harness: Harness, chain: Verified) -> None:
    """The last row before that time is verified, too, and with it that its time is the one that was sealed."""
    harness.clock.tick(30 * 24 * HOUR)
    week = database.now() - 7 * 24 * HOUR
    wrote(harness, 4)
    assert audit_chain.verified_since(harness.rt, week) == chain.seq
    with tampering():
        sql.run("UPDATE audit SET at = ?, actor = 'U0OTHER01' WHERE seq > ? AND seq <= ?",
                [week - 1, chain.seq, chain.seq + 2])  # fmt: skip
        since = audit_chain.verified_since(harness.rt, week)
        assert since == chain.seq + 2
        assert audit_chain.verify(harness.rt, since=since).troubles[0].seq == since


def test_a_part_is_verified_from_a_row_on(harness: Harness, chain: Verified) -> None:
    """What was before it is not looked at; that its last row is gone is seen."""
    assert audit_chain.verify(harness.rt, since=5).rows == chain.rows - 4
    with tampering():
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3")
        assert audit_chain.verify(harness.rt, since=5).troubles == ()
    with tampering():
        sql.run("DELETE FROM audit WHERE seq = 4")
        assert audit_chain.verify(harness.rt, since=5).troubles[0].seq == 4


def test_a_key_is_rotated_by_its_id(harness: Harness, chain: Verified) -> None:
    """New rows have the new one, old ones are verified by the old one, and without it they are said to lack it."""
    old = audit_keys.of(harness.rt.settings)
    new = NamedKey("2027", b"n" * 32)
    both = replace(
        harness.rt,
        settings=replace(harness.rt.settings, audit_key=(new, *(NamedKey(*each) for each in old.keys.items()))),
    )
    wrote(harness, 1)
    found = audit_chain.verify(both)
    assert found.troubles == ()
    with database.reading():
        head = audit.head(harness.rt.workspace_id)
    assert head is not None
    assert head.mac_key == "2027"
    elsewhere = replace(harness.rt.settings, audit_key=(new,), home=harness.rt.settings.home / "elsewhere")
    lacking = audit_chain.verify(replace(harness.rt, settings=elsewhere))
    assert (lacking.troubles[0].seq, "not among the audit keys" in lacking.troubles[0].what) == (1, True)


def take_macs_away(harness: Harness) -> None:
    """Every hash fits what the rows say then."""
    rows = audit.sealed(harness.rt.workspace_id, 0, None, 100)
    sql.run("UPDATE audit SET tag = NULL, mac = NULL, mac_key = NULL")
    before = audit_chain.START
    for row in rows:
        before = audit_chain.link(before, audit_chain.content(replace(row, tag=None)))
        sql.run("UPDATE audit SET hash = ? WHERE seq = ?", [before, row.seq])


def test_a_chain_whose_macs_were_all_taken_away_is_found(harness: Harness, chain: Verified) -> None:
    """It is not taken for one from before there were keys, also when the bot has gone on and sealed behind it."""
    with tampering():
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3")
        sql.run("DELETE FROM audit WHERE seq = 5")
        renumber(6, -1)
        take_macs_away(harness)
        audit.write(harness.rt.workspace_id, "U0ALICE01", "test.row", "thing")
        reseal(harness)
        found = audit_chain.verify(harness.rt)
        assert [each.seq for each in found.troubles] == list(range(1, chain.seq))
        assert "lost its tag and mac" in found.troubles[0].what


def test_rows_of_before_there_were_keys_are_followed_by_keyed_ones(harness: Harness, chain: Verified) -> None:
    """They are verified by their hashes, which the first mac is over, and it is said from where on there are macs."""
    harness.settle_for(audit_keyed_from=chain.seq + 1)
    with tampering():
        take_macs_away(harness)
        audit.write(harness.rt.workspace_id, "U0ALICE01", "test.row", "thing")
        reseal(harness)
        found = audit_chain.verify(harness.rt)
        assert (found.troubles, found.keyed_from) == ((), chain.seq + 1)
        sql.run("UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3")
        assert audit_chain.verify(harness.rt).troubles[0].seq == 3


@pytest.mark.parametrize("given", ["", "SECRET_KEY", "AUDIT_KEY"])
def test_the_key_is_never_in_the_database(harness: Harness, given: str) -> None:
    """It is in the settings, derived from a key that is, or in a file that is nobody else's."""
    settings, key = harness.rt.settings, b"k" * 32
    if given == "SECRET_KEY":
        settings = replace(settings, secret_key=key)
    if given == "AUDIT_KEY":
        settings = replace(settings, audit_key=(NamedKey("one", key),))
    keys, path = audit_keys.of(settings), settings.home / "var" / "audit.key"
    assert keys.current.startswith({"": "local-", "SECRET_KEY": "derived-", "AUDIT_KEY": "one"}[given])
    assert path.exists() == (not given)
    if not given:
        assert path.stat().st_mode & 0o077 == 0
        assert base64.urlsafe_b64decode(path.read_text()) == keys.keys[keys.current]
    if given == "SECRET_KEY":
        assert keys.keys[keys.current] != key
