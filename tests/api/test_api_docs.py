"""The reference of the API says what the code says."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from api_client import Api

from bot.api.problems import STATUS
from engine import errors
from engine.errors import EngineError

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_operation_has_its_row(api: Api) -> None:
    """And no other has one."""
    document = api.client.get("/api/v1/openapi.json").json()
    offered = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", PAGE, re.MULTILINE)) == offered
    assert document["openapi"].startswith("3.1")


def test_every_code_is_told() -> None:
    """With the status that goes with it."""
    told = set(re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {(str(status), kind.code) for kind, status in STATUS.items()} <= told
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EngineError)}
    unknown = {kind.__name__ for kind in kinds - set(STATUS) - {EngineError}}
    assert unknown == {"BadSettings", "DatabaseAway"}


def test_a_key_for_a_request_may_be_left_out(api: Api) -> None:
    """Every POST takes one, and none asks for it: clients that are made from the document work without."""
    document = api.client.get("/api/v1/openapi.json").json()
    posts = [(path, found["post"]) for path, found in document["paths"].items() if "post" in found]
    assert posts
    for path, operation in posts:
        (key,) = [each for each in operation["parameters"] if each["name"] == "Idempotency-Key"]
        assert (key["in"], key.get("required", False)) == ("header", False), path


def test_every_figure_is_told(api: Api) -> None:
    """The table of figures is what `/metrics` has, with its labels."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    told = {name for name, _ in re.findall(r"^\| `(runbook_\w+)(\{[\w,]+\})?` \|", page, re.MULTILINE)}
    text = api.client.get("/metrics").text
    assert {name.removesuffix("_total") for name in told} == {
        name.removesuffix("_total")
        for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
        if "_created" not in name
    }


def test_the_page_says_what_the_document_says(api: Api) -> None:
    """It stands alone under the policy of all pages: no script, nothing from elsewhere."""
    document = api.client.get("/api/v1/openapi.json").json()
    answer = api.client.get("/api/v1/docs")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text)
    for path, found in document["paths"].items():
        for method, operation in found.items():
            assert f"{method.upper()} {path}" in answer.text.replace("&#39;", "'")
            assert f'id="{operation["operationId"]}"' in answer.text
    assert {f'id="model-{name}"' in answer.text for name in document["components"]["schemas"]} == {True}
    for address in re.findall(r"<link[^>]*href=\"([^\"]+)\"", answer.text):
        assert api.client.get(address).status_code == 200


def test_what_the_document_refers_to_is_in_it(api: Api) -> None:
    """No reference leads nowhere, problems included."""
    text = api.client.get("/api/v1/openapi.json").text
    named = set(re.findall(r"#/components/schemas/([\w.-]+)", text))
    assert "Problem" in named
    assert named <= set(json.loads(text)["components"]["schemas"])


def test_every_operation_has_an_example(api: Api) -> None:
    """One that can be typed: no place of its address is left to fill in, and its body has all that is needed."""
    document = api.client.get("/api/v1/openapi.json").json()
    page = html.unescape(api.client.get("/api/v1/docs").text)
    examples = re.findall(r"<code>(curl.*?)</code>", page, re.DOTALL)
    assert len(examples) == sum(len(found) for found in document["paths"].values())
    assert not [each for each in examples if "{" in each.partition("\n")[0]]
    (start,) = [each for each in examples if "/executions" in each.partition("\n")[0] and '"runbook"' in each]
    assert '"parameters": {"service": "checkout"}' in start
