"""The studio's forms: who may send them, from where, and what they may not bring about."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import ALICE, BOB, CAROL, GUEST, Stage, ready, stage
from test_doors import Rest

from bot.page.signed_links import Pass, Purpose, sign, studio_link
from engine.access.policy import Actor
from engine.catalog import catalog
from engine.config.settings import secret_key
from engine.errors import NotAllowed, NotFound
from engine.queries import secrets

TEXT = """\
apiVersion: runbook/v1
id: {id}
name: Written here
description: It says something.
steps:
  - id: tell
    type: message
    with: {{text: "{said}"}}
"""
HOSTILE = "</textarea><script>alert(1)</script>"


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("studio"), socket_mode=False, pages=True) as running:
        ready(running)
        yield running


class Person:
    """Somebody with the cookie of a page."""

    def __init__(self, bot: Stage, user: str) -> None:
        admitted = Pass(user, "studio", int(time.time()) + 60)
        self.cookie = {"runbook_page": sign(secret_key(bot.rt.settings), Purpose.COOKIE, admitted)}
        self.base = str(bot.rt.settings.public_url)

    def get(self, path: str = "/studio") -> httpx.Response:
        return self.ask("GET", path)

    def post(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> httpx.Response:
        return self.ask("POST", path, data=fields, headers=headers)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        with httpx.Client(base_url=self.base, trust_env=False, timeout=30, cookies=self.cookie) as client:
            return client.request(method, path, **more)

    def token(self) -> str:
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.get().text)
        assert found
        return found[1]

    def send(
        self, do: str, path: str = "/studio", headers: dict[str, str] | None = None, **more: str
    ) -> httpx.Response:
        return self.post(path, {"token": self.token(), "do": do, **more}, headers)


def is_there(bot: Stage, slug: str) -> bool:
    try:
        catalog.get(bot.rt, slug)
    except NotFound:
        return False
    return True


def test_a_form_of_another_site_or_person_saves_nothing(bot: Stage) -> None:
    """Without the token, with somebody else's, or sent from elsewhere with the right one."""
    alice, carol = Person(bot, ALICE), Person(bot, CAROL)
    fields = {"text": TEXT.format(id="forged", said="x")}
    for answer in (
        alice.post("/studio", {"do": "save", **fields}),
        alice.post("/studio", {"do": "save", "token": carol.token(), **fields}),
        alice.send("save", headers={"sec-fetch-site": "cross-site"}, **fields),
        alice.send("save", headers={"sec-fetch-site": "same-site"}, **fields),
        alice.send("save", headers={"origin": "https://evil.example"}, **fields),
    ):
        assert answer.status_code == 403, answer.text
        assert "does not come from a page that is yours" in answer.text
    assert httpx.post(f"{bot.rt.settings.public_url}/studio", data={"do": "save"}, trust_env=False).status_code == 401
    assert not is_there(bot, "forged")


def test_who_may_not_edit_saves_nothing_and_keeps_the_text(bot: Stage) -> None:
    """Whatever the page showed: the right is asked where it is saved."""
    answer = Person(bot, CAROL).send("save", text=TEXT.format(id="not-hers", said="kept"))
    assert answer.status_code == 403
    assert "Not saved." in answer.text
    assert "kept" in answer.text
    assert not is_there(bot, "not-hers")
    assert Person(bot, GUEST).get().status_code == 403


def test_a_draft_has_its_saver_as_author_and_an_old_text_does_not_replace_it(bot: Stage) -> None:
    """Twice at once: the second is told what the first has saved; what was seen by nobody is not replaced."""
    alice = Person(bot, ALICE)
    made = alice.send("save", text=TEXT.format(id="drafted", said="one"), note="first")
    assert (made.status_code, made.headers["location"]) == (303, "/studio/drafted?saved=1")
    version = catalog.version(bot.rt, "drafted")
    assert (version.author, version.status, version.note) == (ALICE, "DRAFT", "first")
    two = {"path": "/studio/drafted", "was": "1-draft"}
    assert alice.send("save", **two, text=TEXT.format(id="drafted", said="two")).status_code == 303
    late = alice.send("save", **two, text=TEXT.format(id="drafted", said="three"))
    assert late.status_code == 409
    assert "was changed since you looked" in late.text
    assert 'name="was" value="2-draft"' in late.text
    assert re.search(r'class="removed">-[^<]*two', late.text)
    assert re.search(r'class="added">\+[^<]*three', late.text)
    unseen = alice.send("save", "/studio/drafted", text=TEXT.format(id="drafted", said="four"))
    assert unseen.status_code == 409
    assert alice.send("save", text=TEXT.format(id="drafted", said="five")).status_code == 409
    renamed = alice.send("save", "/studio/drafted", was="2-draft", text=TEXT.format(id="other", said="six"))
    assert "keeps its id" in renamed.text
    assert catalog.get(bot.rt, "drafted").current_number == 2


def test_a_runbook_of_a_file_is_not_saved_here(bot: Stage) -> None:
    alice = Person(bot, ALICE)
    text = catalog.version(bot.rt, "drain").source
    before = catalog.get(bot.rt, "drain")
    assert "commit it there, and sync" in alice.get("/studio/drain").text
    answer = alice.send("save", "/studio/drain", text=f"{text}# more\n", was=f"{before.current_number}-approved")
    assert answer.status_code == 409
    assert "change it there and sync" in answer.text
    handed = alice.send("download", "/studio/drain", text=text)
    assert handed.text == text
    assert handed.headers["content-disposition"] == 'attachment; filename="drain.yaml"'
    assert catalog.get(bot.rt, "drain") == before


def test_what_is_typed_never_comes_alive_and_is_not_altered(bot: Stage) -> None:
    """Nor is what is in it that cannot be seen: only the problem says so."""
    answer = Person(bot, CAROL).send("check", text=f"name: {HOSTILE}\u202e\n", rehearsal=HOSTILE, was=HOSTILE)
    assert "<script>alert" not in answer.text
    assert f"{HOSTILE}\u202e".replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert 'class="error"' in answer.text


def test_a_text_that_is_too_large_is_a_problem_and_no_accident(bot: Stage) -> None:
    answer = Person(bot, CAROL).send("check", text="# " + "x" * (256 * 1024))
    assert answer.status_code == 200
    assert "256" in answer.text


def test_secrets_are_completed_by_name_and_only_for_who_may_list_them(
    bot: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forbidden is as if it were not there, and no value is anywhere."""
    asked = {"text": 'a: "{{ secrets."', "row": "0", "before": 'a: "{{ secrets.'}
    carol = Person(bot, CAROL)
    known = [each.name for each in secrets.listing(bot.rt, Actor(CAROL, standing="member"))]
    assert known
    assert [each["label"] for each in carol.send("complete", **asked).json()["suggestions"]] == known

    def refuse(*_: object) -> None:
        raise NotAllowed("You may not.")

    monkeypatch.setattr("bot.page.desk.secrets.listing", refuse)
    assert carol.send("complete", **asked).json()["suggestions"] == []
    assert carol.send("complete", text="", row="-1", before="").status_code == 409


def test_a_link_is_for_its_page_and_person_alone(bot: Stage) -> None:
    """It becomes a cookie once; it opens nothing else, and a cookie is no link."""
    key, base = secret_key(bot.rt.settings), str(bot.rt.settings.public_url)
    address = studio_link(base, key, CAROL, "drain")
    opened = httpx.get(address, trust_env=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/studio/drain")
    proof = address.partition("?")[2]
    for path in ("/studio", "/studio/careful", "/executions/R-123456"):
        assert httpx.get(f"{base}{path}?{proof}", trust_env=False).status_code == 403
    late = sign(key, Purpose.LINK, Pass(CAROL, "studio", 1))
    assert httpx.get(f"{base}/studio?pass={late}", trust_env=False).status_code == 403
    assert httpx.get(studio_link(base, key, GUEST, ""), trust_env=False).status_code == 403


def test_a_rehearsal_calls_nothing(bot: Stage) -> None:
    """A call without a stub ends the case and says which; the person's own text is what is played."""
    text = TEXT.format(id="calls", said="x").replace("type: message", "type: http")
    text = text.replace('{text: "x"}', '{url: "https://example.com/a"}')
    answer = Person(bot, CAROL).send(
        "rehearse", text=text, rehearsal="cases: [{name: One, expect: {outcome: SUCCESS}}]"
    )
    assert answer.status_code == 200
    assert "stub" in answer.text
    stubbed = "cases: [{name: One, stubs: {tell: {json: {ok: 7}}}, expect: {outcome: SUCCESS}}]"
    played = Person(bot, CAROL).send("rehearse", text=text, rehearsal=stubbed)
    assert "GET https://example.com/a" in played.text
    assert "✓ One" in played.text


def cases(name: str, outcome: str = "SUCCESS") -> str:
    return f"cases: [{{name: {name}, expect: {{outcome: {outcome}}}}}]"


def test_who_approves_sees_what_the_saved_rehearsal_came_to(bot: Stage) -> None:
    """On the card in Slack and on the page: of the newest version, also where only its rehearsal is another."""
    text = TEXT.format(id="rehearsed", said="x").replace("steps:", "team: payments\nsteps:")
    bob, alice = Person(bot, BOB), Person(bot, ALICE)
    assert bob.send("save", text=text, rehearsal=cases("Good")).status_code == 303
    card, page = bot.say("admin approve rehearsed", ALICE), alice.get("/studio/rehearsed").text
    assert "1 passed" in card
    assert re.search(r'id="came-to".*<li>1 passed', page)
    more = {"text": text, "was": "1-draft", "rehearsal": cases("Bad", "FAILED")}
    assert bob.send("save", "/studio/rehearsed", **more).status_code == 303
    card, page = bot.say("admin approve rehearsed", ALICE), alice.get("/studio/rehearsed").text
    for said in (card, page):
        assert "0 passed, 1 failed" in said
        assert "✕ Bad: " in said
    assert cases("Bad", "FAILED") in page


def test_no_door_approves_by_a_digest_that_two_rehearsals_share(bot: Stage) -> None:
    """What it was shown with is not known then; by its number it is."""
    text = TEXT.format(id="shared", said="x").replace("steps:", "team: payments\nsteps:")
    bob = Person(bot, BOB)
    assert bob.send("save", text=text, rehearsal=cases("Good")).status_code == 303
    digest = catalog.version(bot.rt, "shared").digest
    changed = {"text": text, "was": "1-draft", "rehearsal": cases("Bad", "FAILED")}
    assert bob.send("save", "/studio/shared", **changed).status_code == 303
    rest = Rest(bot)
    assert "Versions 1 and 2 of shared" in bot.say(f"admin approve shared digest={digest}", ALICE)
    assert rest("POST /runbooks/shared/approve", ALICE, {"digest": digest}).status_code == 409
    assert rest.typed(f"admin approve shared digest={digest}", ALICE) == 409
    assert "not the newest" in bot.say(f"admin approve shared@1 digest={digest}", ALICE)
    assert catalog.version(bot.rt, "shared").status == "DRAFT"
    assert rest("POST /runbooks/shared/approve", ALICE, {"digest": digest, "version": 2}).status_code == 200
    rest.client.close()


def test_the_cases_are_completed_by_the_text_and_their_mistakes_are_told(bot: Stage) -> None:
    """In their own field alone, and only where the text is a runbook; what is asked wrongly is refused."""
    carol, text = Person(bot, CAROL), TEXT.format(id="typed", said="x")
    line = "cases: [{stubs: {"
    asked = {"text": text, "rehearsal": line, "row": "0", "before": line}
    found = carol.send("complete", field="rehearsal", **asked).json()["suggestions"]
    assert [(each["label"], each["sort"]) for each in found] == [("tell", "step")]
    explained = {"text": text, "rehearsal": "cases: []", "row": "0", "column": "1"}
    meant = [carol.send("explain", **explained, **more).json()["meaning"] for more in ({}, {"field": "rehearsal"})]
    assert meant[1]
    assert meant[0] != meant[1]
    assert carol.send("complete", field="note", **asked).status_code == 409
    wrong = cases("A").replace("SUCCESS", "SUCESS")
    told = carol.send("rehearse", text=text, rehearsal=wrong).text
    assert "Not rehearsed: the cases have mistakes." in told
    assert 'href="#rehearsal-title">Line 1' in told
    broken = carol.send("check", text=text.replace("steps", "stepz"), rehearsal=wrong).text
    assert 'href="#rehearsal-title"' not in broken
