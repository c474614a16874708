"""What the targets of a version stand for: its approval is for that, and its runs call nothing else.

What is run is what was kept when people last let the version run. Where `_targets.yaml` says something else of a target
that it calls, the version starts nothing before it is approved again, as after an approval that has expired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from engine.access import auditing, targets_file
from engine.access.policy import Actor
from engine.definition import codec, targets
from engine.definition.model import Runbook
from engine.definition.targets import Targets
from engine.errors import NotApproved
from engine.runtime import Runtime
from engine.text.problem import Problem
from storage import database, runbooks
from storage import targets as kept_targets
from storage.catalog_records import VersionRecord
from storage.records import Json
from storage.states import Severity, VersionStatus


def apply(rt: Runtime, actor: Actor, found: Targets | None) -> None:
    """Keep the targets as they stand in the file now; None leaves those that were there."""
    if found is None:
        return
    digest = _digest(found)
    if kept_targets.save(rt.workspace_id, digest, found):
        detail = {"digest": digest, "targets": found}
        auditing.by_actor(rt, actor, "targets.change", auditing.TARGETS, detail, Severity.WARNING)


def problems(rt: Runtime, files: Mapping[str, Runbook], *, gone: bool) -> Iterator[Problem]:
    """What is wrong with the targets of these files; `gone` as to the file of targets. Needs an open connection."""
    now = known(rt)
    if gone and kept_targets.content(rt.workspace_id) is not None:
        yield targets_file.missing(rt.settings.runbooks_dir / targets_file.NAME)
    for file, runbook in files.items():
        for each in targets.findings(runbook, now):
            yield Problem(file, 1, 1, each.message)


def known(rt: Runtime) -> Targets:
    """What every name stands for, as last synced. Needs an open connection."""
    found: Targets = kept_targets.content(rt.workspace_id) or {}
    return found


def faults(rt: Runtime, runbook: Runbook) -> list[str]:
    """What is wrong with the targets that a runbook calls, by what is known now. Needs an open connection."""
    return [each.message for each in targets.findings(runbook, known(rt))] if targets.names(runbook) else []


def as_now(rt: Runtime, runbook: Runbook) -> Runbook:
    """The runbook as it would be approved now: each call as its target makes it. Needs an open connection."""
    return targets.resolved(runbook, known(rt)) if targets.names(runbook) else runbook


def as_shown(rt: Runtime, version: VersionRecord) -> VersionRecord:
    """The version under the digest that people agree to: its own, and that of what its targets come to at present."""
    used = of_version(rt, version)
    plain = version.digest.partition("+")[0]
    return replace(version, digest=f"{plain}+{_digest(used)}") if named_by(version.id) else version


def of_version(rt: Runtime, version: VersionRecord) -> Targets:
    """What the targets that a version calls stand for at this moment; those that are not known are left out."""
    names = named_by(version.id)
    if not names:
        return {}
    with database.reading():
        now = known(rt)
    return {name: now[name] for name in sorted(names) if name in now}


def changed(rt: Runtime, version: VersionRecord) -> list[str]:
    """The targets of an approved version that stand for something else now, or for nothing, by name."""
    names = named_by(version.id)
    if not names or version.status is not VersionStatus.APPROVED:
        return []
    with database.reading():
        before, now = kept_targets.of_version(version.id), known(rt)
    agreed: Json = before.content if before else {}
    return sorted(name for name in names if agreed.get(name) != now.get(name))


def must_hold(rt: Runtime, version: VersionRecord) -> None:
    """Raise `NotApproved`, saying what to do, where a target of an approved version has changed since."""
    names = changed(rt, version)
    if names:
        told, have = ", ".join(f"`{name}`" for name in names), "has" if len(names) == 1 else "have"
        raise NotApproved(
            f"What {told} in {targets_file.NAME} stands for {have} changed since {version.slug}@{version.number} was "
            f"approved: a platform admin who did not write it has to approve it again (`admin renew {version.slug}`)."
        )


def must_be_the_same(rt: Runtime, version: VersionRecord) -> None:
    """Raise `NotApproved` where the targets of a version that is to be started changed since it was looked up."""
    if as_shown(rt, version).digest != version.digest:
        raise NotApproved(f"What {version.slug}@{version.number} calls has just changed. Look at it and run it again.")


def keep(rt: Runtime, version: VersionRecord) -> None:
    """Note what the targets of a version stand for, as people let it run; needs the transaction that does."""
    used = of_version(rt, version)
    if used:
        kept_targets.keep(version.id, rt.workspace_id, _digest(used), used)


def to_run(version_id: int, runbook: Runbook) -> Runbook:
    """The runbook with what its targets stood for when people let it run. Needs an open connection."""
    if not named_by(version_id):
        return runbook
    agreed = kept_targets.of_version(version_id)
    return targets.resolved(runbook, agreed.content) if agreed else runbook


def in_words(used: Targets) -> list[str]:
    """What each name stands for, in a line."""
    return [_line(name, said) for name, said in used.items()]


@lru_cache(maxsize=512)
def named_by(version_id: int) -> frozenset[str]:
    """The targets that a version calls. Versions never change, so this is read once a process."""
    with database.reading():
        found = runbooks.version_by_id(version_id)
    return targets.names(codec.from_canonical(found.definition)) if found else frozenset()


def _line(name: str, said: Mapping[str, Json]) -> str:
    more = [_auth(said["auth"])] if "auth" in said else []
    more += [f"headers {', '.join(said['headers'])}"] if said.get("headers") else []
    more += [f"tls {', '.join(said['tls'])}"] if "tls" in said else []
    more += [f"opens {', '.join(said['opens'])} though it is private"] if "opens" in said else []
    return f"target {name}: {', '.join([said['url'], *more])}"


def _auth(said: Mapping[str, Json]) -> str:
    own = f" with tls {', '.join(said['tls'])}" if "tls" in said else ""
    return f"auth {said['type']}{own}"


def _digest(used: Targets) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()
