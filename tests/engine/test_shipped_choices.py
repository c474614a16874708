"""What the runbooks that ship offer of answers as the documentation of each system has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import real_servers
import yaml
from harness import CAROL, Harness, Target
from local_server import answer

from engine.runs import parameter_options

JOB = "3b8a6e54-69fb-418b-b08f-f82e59ad5f8a"
SERVICES = {"services": [{"id": "PIJ90N7", "name": "Shop", "status": "active"}], "limit": 100, "more": False}
APPLICATIONS = {"items": [{"metadata": {"name": "shop"}}, {"metadata": {"name": "search"}}]}
JOBS = [
    {"id": JOB, "name": "Restart a worker", "group": "web", "project": "shop", "enabled": True},
    {"id": JOB.replace("3b", "4b"), "name": "Rotate logs", "group": None, "project": "shop"},
]
TEMPLATES = {"count": 1, "results": [{"id": 12, "type": "job_template", "name": "Restart workers"}]}
OFFERED: dict[str, tuple[str, str, str, Any, list[tuple[Any, str]]]] = {
    "argocd-sync": ("argocd", "application", "/api/v1/applications?fields=items.metadata.name", APPLICATIONS,
                    [("shop", "shop"), ("search", "search")]),
    "argocd-rollback": ("argocd", "application", "/api/v1/applications?fields=items.metadata.name", APPLICATIONS,
                        [("shop", "shop"), ("search", "search")]),
    "awx-job": ("awx", "template", "/api/v2/job_templates/?role_level=execute_role&order_by=name&page_size=200",
                TEMPLATES, [(12, "Restart workers")]),
    "pagerduty-incident": ("pagerduty", "service", "/services?limit=100", SERVICES, [("PIJ90N7", "Shop")]),
    "pagerduty-maintenance": ("pagerduty", "service", "/services?limit=100", SERVICES, [("PIJ90N7", "Shop")]),
    "rundeck-job": ("rundeck", "job", "/api/41/project/shop/jobs", JOBS,
                    [(JOB, "Restart a worker (web)"), (JOB.replace("3b", "4b"), "Rotate logs")]),
}  # fmt: skip


def shipped(folder: Path, name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((folder / "_targets.yaml").read_text("utf-8"))["targets"][name]
    return said


@pytest.mark.parametrize("slug", OFFERED)
def test_each_offers_what_its_system_has(harness: Harness, target: Target, slug: str) -> None:
    system, parameter, asked, said, choices = OFFERED[slug]
    at = shipped(real_servers.SHIPPED, system)
    real_servers.know_secrets(harness, {f"{system}_token": "not-a-token-of-anybody"})
    real_servers.approve(harness, {system: {**at, "url": target.url("/").rstrip("/")}}, slug)
    target.does[asked.partition("?")[0]] = [
        answer(json.dumps(said).encode(), "200 OK", "Content-Type: application/json")
    ]
    found = parameter_options.options(harness.rt, CAROL, slug, parameter)
    assert found.trouble == ""
    assert [(each.value, each.label) for each in found.options] == choices
    assert target.paths() == [asked]
