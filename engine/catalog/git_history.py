"""Who changed a file last: a walk back through a repository's history, as `git log -1 -- file` walks it.

Files are known by their exact names in one folder. Nothing in them is opened: names, modes and ids tell them apart.
"""

from __future__ import annotations

import heapq
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from dulwich.objects import Commit, ObjectID, Tree
from dulwich.repo import BaseRepo

Entry = tuple[int, ObjectID]
"""A file's mode and the id of its content."""


class History:
    """The commits of `repo` and what the folder at `parts` held in each. Raises what the library raises."""

    def __init__(self, repo: BaseRepo, parts: Iterable[bytes]) -> None:
        self._objects = repo.object_store
        self._parents = repo.parents_provider()
        self._parts = tuple(parts)
        self._commit = lru_cache(1024)(self._read_commit)
        self._tree = lru_cache(64)(self._read_tree)

    def entries(self, commit_id: ObjectID) -> Mapping[bytes, Entry]:
        """What the folder held in a commit, by name; nothing where it was not there."""
        return self._tree(self._folder(commit_id))

    def last_changes(
        self, head: ObjectID, names: Iterable[bytes], until: float
    ) -> Iterator[tuple[bytes, ObjectID, Commit]]:
        """For each name that `head` has, the commit that made it so. Stops at `until` by the monotonic clock.

        At a merge a file's history is that of the first parent that has the same file.
        """
        waiting = {head: set(names)}
        order = [(0, head)]
        while order and time.monotonic() < until:
            _, commit_id = heapq.heappop(order)
            mine = waiting.pop(commit_id)
            commit, _ = self._commit(commit_id)
            for parent in self._parents.get_parents(commit_id, commit):
                if time.monotonic() >= until:  # one commit can have any number of parents
                    return
                same = self._same(mine, commit_id, parent)
                if same and parent not in waiting:
                    heapq.heappush(order, (-self._commit(parent)[0].commit_time, parent))
                if same:
                    waiting.setdefault(parent, set()).update(same)
                mine -= same
            yield from ((name, commit_id, commit) for name in mine)

    def _same(self, names: set[bytes], one: ObjectID, other: ObjectID) -> set[bytes]:
        """Those of the names that are the same file in both commits."""
        if not names or self._folder(one) == self._folder(other):
            return set(names)
        here, there = self.entries(one), self.entries(other)
        return {name for name in names if here.get(name) == there.get(name)}

    def _folder(self, commit_id: ObjectID) -> ObjectID | None:
        return self._commit(commit_id)[1]

    def _read_commit(self, commit_id: ObjectID) -> tuple[Commit, ObjectID | None]:
        """A commit and the id of the folder in it."""
        commit = self._objects[commit_id]
        if not isinstance(commit, Commit):
            raise TypeError(f"{commit_id!r} is no commit")
        at: ObjectID | None = commit.tree
        for part in self._parts:
            mode, found = self._tree(at).get(part) or (0, None)
            at = found if stat.S_ISDIR(mode) else None
        return commit, at

    def _read_tree(self, tree_id: ObjectID | None) -> Mapping[bytes, Entry]:
        if tree_id is None:
            return {}
        tree = self._objects[tree_id]
        if not isinstance(tree, Tree):
            raise TypeError(f"{tree_id!r} is no tree")
        return {name: tree[name] for name in tree}
