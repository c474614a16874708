"""Rehearsals: the real engine over a database in memory, with a clock that is turned and calls that stubs answer."""
