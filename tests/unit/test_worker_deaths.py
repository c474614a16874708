"""When a lock that nobody holds proves a death, and when it only tells of an outage."""

from __future__ import annotations

from engine.worker.worker_deaths import GAP_S, GONE_S, STRANGER_S, DeathWatch

HELD, FREE = {"w": True}, {"w": False}


def test_one_look_is_not_enough() -> None:
    """A lock that is free for a moment, because its holder is taking it on a new connection, proves nothing."""
    deaths = DeathWatch()
    assert deaths.proven(HELD, 0.0) == []
    assert deaths.proven(FREE, 0.5) == []
    assert deaths.proven(FREE, 0.5 + GONE_S - 0.01) == []
    assert deaths.proven(FREE, 0.5 + GONE_S) == ["w"]


def test_a_lock_that_was_held_again_is_looked_at_anew() -> None:
    deaths = DeathWatch()
    for locks, at in ((HELD, 0.0), (FREE, 0.5), (HELD, 1.0), (FREE, 1.5)):
        assert deaths.proven(locks, at) == []
    assert deaths.proven(FREE, 2.2) == ["w"]


def test_whoever_was_dead_before_we_came_is_found_a_little_later() -> None:
    """It may just be connecting: as long as that may take nothing is said."""
    deaths = DeathWatch()
    found = [deaths.proven(FREE, float(second)) for second in range(int(STRANGER_S) + 1)]
    assert found == [[]] * int(STRANGER_S) + [["w"]]


def test_after_an_outage_a_free_lock_says_nothing() -> None:
    """All were lost in it: only one that was seen held again, and then not, does."""
    deaths = DeathWatch()
    assert deaths.proven(HELD, 0.0) == []
    assert not any(deaths.proven(FREE, GAP_S + 0.1 + second) for second in range(60))
    assert deaths.proven(HELD, 63.0) == []
    assert deaths.proven(FREE, 64.0) == []
    assert deaths.proven(FREE, 65.0) == ["w"]


def test_a_look_that_failed_is_an_outage() -> None:
    deaths = DeathWatch()
    assert deaths.proven(HELD, 0.0) == []
    deaths.interrupted()
    assert deaths.proven(FREE, 1.0) == []
    assert deaths.proven(FREE, 2.0) == []
