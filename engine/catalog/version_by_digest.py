"""A version that is named by its digest alone: no other one may be taken for it."""

from __future__ import annotations

from engine.catalog import stored_rehearsal
from engine.errors import Conflict
from storage import runbooks
from storage.catalog_records import VersionRecord


def must_be_the_only(found: VersionRecord) -> None:
    """Raise `Conflict`, naming the versions, where others have the digest of this one and another rehearsal.

    A version is its text and its rehearsal, and the digest is that of the text: by itself it does not say which of them
    a person was shown. Needs an open connection.
    """
    plain = found.digest.partition("+")[0]
    alike = [each for each in runbooks.versions(found.runbook_id) if each.digest == plain]
    if len({stored_rehearsal.of_version(each).strip() for each in alike}) < 2:
        return
    *others, last = sorted(each.number for each in alike)
    numbers = f"{', '.join(map(str, others))} and {last}"
    raise Conflict(
        f"Versions {numbers} of {found.slug} have this digest, and not the same rehearsal. Say which one you were "
        f"shown: `{found.slug}@{last}`, or `version` over REST."
    )
