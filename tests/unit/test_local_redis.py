"""The Redis of `runbook up` is found by whoever may, and only while it is there."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine import local_redis

URL = "redis://:secret@127.0.0.1:1/0"


def test_it_is_found_while_somebody_holds_it(tmp_path: Path) -> None:
    """And by its owner alone."""
    folder = tmp_path / "var"
    assert local_redis.find_url(folder) is None
    with local_redis.published(folder, URL):
        assert local_redis.find_url(folder) == URL
        assert stat.S_IMODE((folder / "redis.url").stat().st_mode) == 0o600
    assert local_redis.find_url(folder) is None
    assert list(folder.iterdir()) == []


def test_what_was_left_behind_is_not_believed(tmp_path: Path) -> None:
    """The process was killed, and another program may have its port by now."""
    left = tmp_path / "redis.url"
    left.write_text(URL)
    left.chmod(0o644)
    assert local_redis.find_url(tmp_path) is None
    with local_redis.published(tmp_path, "redis://other"):
        assert local_redis.find_url(tmp_path) == "redis://other"
        assert stat.S_IMODE(left.stat().st_mode) == 0o600


def test_one_that_may_not_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps carry the work of whoever is somebody else."""

    def refused(*_given: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refused)
    assert local_redis.find_url(tmp_path) is None
