"""The words people type, as Slack and shells deliver them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import help_text
from bot.grammar import ALIASES, VERBS, Command, GrammarError, Verb, parse, parse_words, quote, spell


def slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", Command("help")),
        ("   ", Command("help")),
        ("help admin approve", Command("help", ("admin", "approve"))),
        ("LIST web tag=linux", Command("list", ("web",), {"tag": "linux"})),
        ("run restart service=api grace=5", Command("run", ("restart",), {"service": "api", "grace": "5"})),
        ("Start restart", Command("run", ("restart",))),
        ("stop r-7k2m9q", Command("cancel", ("r-7k2m9q",))),
        ("cancel R-7K2M9Q wrong service", Command("cancel", ("R-7K2M9Q",), {"reason": "wrong service"})),
        ('run x reason="two words"', Command("run", ("x",), {"reason": "two words"})),
        ("run x reason=“two words”", Command("run", ("x",), {"reason": "two words"})),
        ("run x reason=‘two words’", Command("run", ("x",), {"reason": "two words"})),
        ("run x reason=„two words‟", Command("run", ("x",), {"reason": "two words"})),
        ("run x reason=”two words”", Command("run", ("x",), {"reason": "two words"})),
        ('run x reason="it said “go” twice"', Command("run", ("x",), {"reason": "it said “go” twice"})),
        ('run x reason=“say "no" now”', Command("run", ("x",), {"reason": 'say "no" now'})),
        ("run x reason='don't stop'", Command("run", ("x",), {"reason": "don't stop"})),
        ("run x note=don't", Command("run", ("x",), {"note": "don't"})),
        ('run x a="say \\"hi\\""', Command("run", ("x",), {"a": 'say "hi"'})),
        ("run x --service api", Command("run", ("x",), {"service": "api"})),
        ("run x --service=api", Command("run", ("x",), {"service": "api"})),
        ("run x -service api", Command("run", ("x",), {"service": "api"})),
        ("run x —service api –grace 5", Command("run", ("x",), {"service": "api", "grace": "5"})),
        ("run x --grace -5 --force", Command("run", ("x",), {"grace": "-5", "force": "true"})),
        ("run x --force --service api", Command("run", ("x",), {"force": "true", "service": "api"})),
        (
            r'run x v="\\filer01\share\Q3 report" w=x',
            Command("run", ("x",), {"v": r"\\filer01\share\Q3 report", "w": "x"}),
        ),
        ('run x v="D:\\Old Logs\\" w=x', Command("run", ("x",), {"v": "D:\\Old Logs\\", "w": "x"})),
        ('run x v="D:\\Old Logs\\"', Command("run", ("x",), {"v": "D:\\Old Logs\\"})),
        ('run x v="D:\\Old Logs\\" w="x"', Command("run", ("x",), {"v": "D:\\Old Logs\\", "w": "x"})),
        (r"run x v='\\a\b c' w=\\a\b", Command("run", ("x",), {"v": r"\\a\b c", "w": r"\\a\b"})),
        (r'run x v="say \"hi\"\ now"', Command("run", ("x",), {"v": 'say "hi" now'})),
        (r'run x v="a \d+ \n \\ b"', Command("run", ("x",), {"v": r"a \d+ \n \\ b"})),
        ('run x v=["“a b”"]', Command("run", ("x",), {"v": '["“a b”"]'})),
        ("run x a=", Command("run", ("x",), {"a": ""})),
        ("run x a=b=c", Command("run", ("x",), {"a": "b=c"})),
        ("run x hosts=[“a”, “b”] n=1", Command("run", ("x",), {"hosts": '["a", "b"]', "n": "1"})),
        ("run x o=[not json", None),
        ("run x a=<@U012AB3CD|ann> b=<#C012AB3CD|ops>", Command("run", ("x",), {"a": "U012AB3CD", "b": "C012AB3CD"})),
        ("run x g=<!subteam^S0123|@ops>", Command("run", ("x",), {"g": "S0123"})),
        ("run x g=<!here>", Command("run", ("x",), {"g": "@here"})),
        ("run x url=<https://a.example/x|a page>", Command("run", ("x",), {"url": "https://a.example/x"})),
        ("run x host=<http://a.example|a.example>", Command("run", ("x",), {"host": "a.example"})),
        ("run x to=<mailto:a@b.example|a@b.example>", Command("run", ("x",), {"to": "a@b.example"})),
        ("run x a=&lt;b&gt;&amp;amp;", Command("run", ("x",), {"a": "<b>&amp;"})),
        ("run send-payload payload=1", Command("run", ("send-payload",), {"payload": "1"})),
        ("resolve R-7K a DONE note='seen it'", Command("resolve", ("R-7K", "a", "DONE"), {"note": "seen it"})),
        ("approve", Command("approve")),
        ("pause", Command("pause")),
        ("pause r-7k reason=look", Command("pause", ("r-7k",), {"reason": "look"})),
        ("resume R-7K", Command("resume", ("R-7K",))),
        ("retry R-7K call host=b", Command("retry", ("R-7K", "call"), {"host": "b"})),
        ("skip R-7K each[3].check reason=x", Command("skip", ("R-7K", "each[3].check"), {"reason": "x"})),
        ("rerun R-7K from=b version=latest", Command("replay", ("R-7K",), {"from": "b", "version": "latest"})),
        ("withdraw R-7K ask", Command("withdraw", ("R-7K", "ask"))),
        ("cancel R-7K force=yes", Command("cancel", ("R-7K",), {"force": "yes"})),
        ("cancel R-7K --force", Command("cancel", ("R-7K",), {"force": "true"})),
        ("retry call host=b", Command("retry", ("call",), {"host": "b"})),
        ("skip call reason=x", Command("skip", ("call",), {"reason": "x"})),
        ("explain", Command("why")),
        ("log R-7K", Command("logs", ("R-7K",))),
        ("catch-up", Command("catchup")),
        ("can <@U0BOB0001|bob> run x", Command("can", ("U0BOB0001", "run", "x"))),
        ("handover <@U0BOB0001> reason=x", Command("handover", ("U0BOB0001",), {"reason": "x"})),
        ("incident", Command("incident")),
        ("Incident Open It is slow zone=eu", Command("incident open", ("It", "is", "slow"), {"zone": "eu"})),
        ("incident set severity=sev1 zone=", Command("incident set", (), {"severity": "sev1", "zone": ""})),
        ("incident close force=yes", Command("incident close", (), {"force": "yes"})),
        ("runs here status=failed since=2h", Command("runs", ("here",), {"status": "failed", "since": "2h"})),
        ("admin history x", Command("admin history", ("x",))),
        ("admin sync", Command("admin sync")),
        ("admin rollback x", Command("admin rollback", ("x",))),
        ("Admin Approve x@3", Command("admin approve", ("x@3",))),
        ("run\nx\na=1", Command("run", ("x",), {"a": "1"})),
    ],
)
def test_what_is_typed_is_understood(text: str, command: Command | None) -> None:
    """Each spelling gives the command it means."""
    if command is None:
        with pytest.raises(GrammarError):
            parse(text)
    else:
        assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "needle", "usage"),
    [
        ("strat x", "Did you mean “start”?", "run ID"),
        ("xyzzy", "There is no “xyzzy” here.", "help"),
        ("restart-checkout", "If it is a runbook, say run before it.", "run restart-checkout"),
        ("nope", "Most used are list, run, status, why and approve.", "help"),
        ("run", "needs something more: ID", "run ID"),
        ("show a b", "one word too many", "show ID"),
        ("run x a=1 a=2", "given twice", ""),
        ('run x a="b', "never closed", ""),
        ("list colour=red", "takes no “colour”", "list"),
        ("admin", "sync, approve, renew, withdraw, deprecate", "help admin"),
        ("admin aprove x", "There is no “admin aprove”. What admins can do: sync, approve", "help admin"),
        ("admin foo", "There is no “admin foo”. What admins can do: sync, approve", "help admin"),
        ('run x a=“b"', "never closed", ""),
        ("run x a='b’", "never closed", ""),
        ("resolve R-7K2M9Q maybe", "retry, done or failed", "resolve"),
        ("retry a b", "“a” is not a run's id", "retry [RUN]"),
        ("skip a b", "“a” is not a run's id", "skip [RUN]"),
        ("skip R-7K2M9Q", "needs something more", "skip [RUN]"),
        ("skip", "needs something more: STEP", "skip [RUN]"),
        ("replay x", "“x” is not a run's id", "replay [RUN]"),
        ("why x", "“x” is not a run's id", "why [RUN]"),
        ("handover R-7K2M9Q", "needs something more", "handover [RUN]"),
        ("logs R-7K2M9Q a b", "one word too many", "logs [RUN]"),
        (
            "incident opne x",
            "There is no “incident opne”. What can be done with an incident: open, set",
            "help incident",
        ),
        ("incident close a=1", "takes no “a”", "incident close"),
        ("a=b", "Begin with what to do", ""),
    ],
)
def test_what_cannot_be_understood_says_what_to_type(text: str, needle: str, usage: str) -> None:
    """A refusal names the trouble and carries the usage of what was probably meant."""
    with pytest.raises(GrammarError) as caught:
        parse(text)
    assert needle in str(caught.value)
    assert caught.value.usage.startswith(usage)


WORDS = st.text(min_size=1).filter(lambda text: not text.isspace())


@given(
    st.sampled_from(["run", "retry", "incident set"]),
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text()),
    WORDS,
)
def test_a_command_that_is_spelled_comes_back(name: str, options: dict[str, str], word: str) -> None:
    """Whatever is in its words and values, as Slack would deliver it."""
    command = Command(name, () if name == "incident set" else (word,), options)
    assert parse(spell(command)) == command


@given(st.text(max_size=40))
def test_what_was_understood_is_understood_again(text: str) -> None:
    """Spelling changes nothing of any line; naming the run later neither, where it was left out."""
    try:
        command = parse(text)
    except GrammarError:
        return
    assert parse(spell(command)) == command


def test_a_run_is_named_later() -> None:
    """What was left out goes before the other words."""
    command = parse("skip call reason=x").about("R-7K2M9Q")
    assert command == Command("skip", ("R-7K2M9Q", "call"), {"reason": "x"})
    assert parse(spell(command)) == command


def test_a_target_is_an_id_and_a_version() -> None:
    """`ID`, `ID@3` and `ID@v3` are read; other versions are refused."""
    assert parse("show Restart").target == ("restart", None)
    assert parse("show restart@3").target == ("restart", 3)
    assert parse("show restart@v3").target == ("restart", 3)
    for text in ("show a@", "show a@0", "show a@x", "show a@1.5", "show a@٣", "show a@99999999999"):
        with pytest.raises(GrammarError):
            _ = parse(text).target


def test_a_run_may_be_left_out() -> None:
    """A word that looks like a run's id is the run; otherwise the words are about something else."""
    assert parse("approve r-7k2m9q sign-off").run == ("R-7K2M9Q", ("sign-off",))
    assert parse("approve sign-off").run == (None, ("sign-off",))


def test_an_option_says_yes_or_no() -> None:
    """Left out is no, a bare flag is yes, and anything else is refused."""
    answers = [parse(f"cancel R-7K {text}").says_yes("force") for text in ("", "force=YES", "--force", "force=no")]
    assert answers == [False, True, True, False]
    with pytest.raises(GrammarError):
        parse("cancel R-7K force=perhaps").says_yes("force")


def understood(text: str) -> str:
    """The first word of the verb that was understood, or of the usage that the refusal carries."""
    try:
        return parse(text).verb.split()[0]
    except GrammarError as refused:
        return refused.usage.split()[0]


KNOWN = {verb.name.split()[0] for verb in VERBS}


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No text makes the grammar fail in any other way than GrammarError."""
    assert understood(text) in KNOWN


@given(st.text(alphabet=st.sampled_from(list("ab =\"'“”‘’\\—-<>&|;@[]{}\n,:1")), max_size=30))
def test_any_punctuation_is_understood_or_refused(tail: str) -> None:
    """The characters that mean something never combine into a crash."""
    assert understood(f"run x {tail}") in KNOWN


@given(st.text())
def test_a_quoted_value_comes_back(value: str) -> None:
    """What `quote` writes and Slack escapes is read back unchanged."""
    assert parse(slack(f"run x k={quote(value)} z=1")).options == {"k": value, "z": "1"}
    assert parse(slack(f"run x --k {quote(value)}")).options == {"k": value}


@given(st.text().filter(lambda value: not value.startswith(("-", "—", "–", "−"))))
def test_shell_words_are_taken_as_they_are(value: str) -> None:
    """On the command line the shell has unquoted already: nothing is decoded twice."""
    assert parse_words(["run", "x", f"k={value}"]).options == {"k": value}


def test_every_verb_is_reachable_and_explained() -> None:
    """Each verb has a usage that begins with its name and a sentence of help, and aliases point at verbs."""
    for verb in VERBS:
        assert verb.usage.startswith(verb.name)
        assert verb.help.endswith(".")
    assert set(ALIASES.values()) <= {verb.name for verb in VERBS}
    assert not set(ALIASES) & {verb.name for verb in VERBS}


def test_help_is_about_one_verb_or_says_that_there_is_none() -> None:
    """Only the whole name counts, aliases too; other words are answered with the nearest verb."""
    assert help_text.verbs_about("") == VERBS
    assert [verb.name for verb in help_text.verbs_about("run")] == ["run"]
    assert [verb.name for verb in help_text.verbs_about("stop")] == ["cancel"]
    assert {verb.name.split()[0] for verb in help_text.verbs_about("admin")} == {"admin"}
    with pytest.raises(GrammarError, match=r"no verb “resolv”\. Did you mean “resolve”"):
        help_text.verbs_about("resolv")
    with pytest.raises(GrammarError, match="no verb “nonsense”") as caught:
        help_text.verbs_about("nonsense")
    assert caught.value.usage == "help"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_is_explained_whole(verb: Verb) -> None:
    """Its example is understood as that verb, and every option it takes has words of its own."""
    assert parse(help_text.example_of(verb)).verb == verb.name
    parts = dict(help_text.parts_of(verb))
    assert all(parts.values())
    assert (verb.options or frozenset()) <= set(parts)
    assert bool(parts) == (verb.name != verb.usage)
