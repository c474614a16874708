"""The external policy behind a private authority, against real TLS on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from harness import Harness, http, runbook
from local_server import LocalServer, answer, serving

from engine import doctor
from engine.errors import NotAllowed

AUTHORITY, OTHER = certificates.issue("Ours"), certificates.issue("Theirs")
YES = answer(b'{"result": true}', "200 OK", "Content-Type: application/json")


@pytest.fixture
def policy(harness: Harness, tmp_path: Path) -> Iterator[LocalServer]:
    """A policy that allows everything, and is not asked yet about what is published."""
    harness.publish(runbook("demo", http("a")))
    context = certificates.server_context(tmp_path, certificates.issue("policy", AUTHORITY, "127.0.0.1"))
    with serving(YES, context) as server:
        harness.settle_for(policy_url=server.url("/v1/data/runbook/allow").replace("http:", "https:"))
        yield server


def trust(harness: Harness, folder: Path, pem: str) -> None:
    file = folder / "policy-ca.pem"
    file.write_text(pem, encoding="utf-8")
    harness.settle_for(policy_cacert=file)


def test_a_policy_of_a_private_authority_is_trusted_where_the_setting_says_so(
    harness: Harness, policy: LocalServer, tmp_path: Path
) -> None:
    trust(harness, tmp_path, AUTHORITY.cert)
    assert harness.start("demo")
    assert policy.requests


def test_without_the_setting_its_certificate_is_not_trusted_and_nothing_is_done(
    harness: Harness, policy: LocalServer
) -> None:
    with pytest.raises(NotAllowed, match="could not be asked"):
        harness.start("demo")
    assert policy.requests == []


def test_another_authority_does_not_do(harness: Harness, policy: LocalServer, tmp_path: Path) -> None:
    trust(harness, tmp_path, OTHER.cert)
    with pytest.raises(NotAllowed, match="could not be asked"):
        harness.start("demo")
    assert policy.requests == []


@pytest.mark.parametrize(
    ("pem", "told"),
    [(None, "No such file or directory"), ("no certificate", "no certificate in PEM"), ("", "no certificate in PEM")],
)
def test_a_file_that_cannot_be_used_refuses_and_says_why(
    harness: Harness, policy: LocalServer, tmp_path: Path, pem: str | None, told: str
) -> None:
    """Until it is mended: then the next question is asked."""
    file = tmp_path / "policy-ca.pem"
    harness.settle_for(policy_cacert=file)
    if pem is not None:
        file.write_text(pem, encoding="utf-8")
    with pytest.raises(NotAllowed, match=f"POLICY_CACERT.*{told}"):
        harness.start("demo")
    (found,) = doctor.of_policy(harness.rt)
    assert told in found.detail
    assert policy.requests == []
    trust(harness, tmp_path, AUTHORITY.cert)
    assert harness.start("demo")
