"""The word a runbook's author may have meant: the nearest one we know, or ours for what another tool calls it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_WORD = 64
"""Longer words are not compared: the comparison's cost grows with the square of the length."""

OURS: dict[str, tuple[str, ...]] = {
    "if": ("when", "condition", "run_if", "only_if"),
    "needs": ("depends_on", "depends", "dependencies", "run_after", "after", "requires"),
    "parameters": ("inputs", "input", "params", "options", "variables", "vars"),
    "with": ("args", "arguments", "params", "inputs", "input", "parameters"),
    "query": ("params", "query_params"),
    "timeout": ("timeout_minutes", "timeout_seconds", "active_deadline_seconds", "deadline"),
    "retry": ("retries", "retry_strategy", "retry_policy"),
    "max_attempts": ("attempts", "limit", "count", "retries"),
    "backoff": ("factor", "multiplier"),
    "delay": ("interval", "wait"),
    "type": ("kind", "action", "module"),
    "uses": ("template", "include", "template_ref", "import", "extends"),
    "id": ("key", "slug", "ref"),
    "steps": ("tasks", "jobs", "main_steps", "stages"),
    "url": ("uri", "endpoint", "address", "href"),
    "method": ("verb",),
    "json": ("body", "data", "payload"),
    "payload": ("body", "data", "json", "text"),
    "until": ("condition", "success_condition", "wait_for"),
    "interval": ("every", "delay", "period"),
    "min_approvals": ("minimum_approvals", "min_required_approvals", "required_approvals"),
    "approvers": ("reviewers", "assignees"),
    "allow_self": ("allow_self_approval", "self_approval"),
    "message": ("prompt", "text", "question"),
    "apiVersion": ("schema_version", "version", "schema"),
    "name": ("title", "label"),
    "description": ("summary", "help", "doc"),
    "team": ("owner", "group"),
    "tags": ("labels",),
    "risk": ("severity", "danger"),
    "max_concurrent_steps": ("max_parallel", "concurrency", "parallelism"),
    "webhook": ("hook", "http"),
    "secrets": ("secret",),
    "then": ("do", "on_true", "if_true", "yes"),
    "else": ("otherwise", "on_false", "if_false", "default"),
    "items": ("for_each", "foreach", "each", "with_items", "list", "over"),
    "as": ("item_name", "loop_var", "var", "item_var", "iterator"),
    "while": ("until", "repeat_while"),
    "max_parallel": ("parallel", "parallelism", "max_concurrency", "concurrency", "batch_size"),
    "max_failures": ("max_errors", "fail_fast", "max_fail_percentage"),
    "on_failure": ("on_error", "rescue", "catch", "errors", "except"),
    "finally": ("always", "cleanup", "ensure", "after_all", "on_exit"),
    "continue_on_error": ("ignore_errors", "ignore_error", "allow_failure", "on_failure", "is_critical"),
    "undo": ("rollback", "compensate", "compensation", "revert"),
    "outputs": ("output", "register", "exports", "publish", "returns"),
    "on_conflict": ("cancel_in_progress", "strategy", "behavior"),
    "group": ("key", "name", "lock", "mutex", "handle"),
    "minima": ("minimums", "min", "quorum", "at_least"),
    "count": ("min", "number", "n", "min_approvals"),
    "for": ("duration", "seconds", "sleep", "length", "timeout"),
    "text": ("message", "body", "content"),
    "channel": ("channel_id", "room", "to"),
    "params": ("parameters", "with", "inputs", "args"),
    "target": ("host", "address", "server", "endpoint", "url"),
    "key": ("correlation_key", "correlation_id", "event", "name"),
    "from": ("sender", "senders", "source"),
    "redirects": ("follow_redirects", "max_redirects", "allow_redirects"),
}
"""Our word -> what GitHub Actions, Argo, Ansible, StackStorm, Kestra, Rundeck or Systems Manager call it."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was most likely meant to be, or None."""
    if len(word) > LONGEST_WORD:
        return None
    candidates = {candidate.lower(): candidate for candidate in known}
    plain = _snake(word)
    for ours, theirs in OURS.items():
        if ours.lower() in candidates and plain in theirs:
            return ours
    found = get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to put behind a sentence: `; did you mean …?` with the nearest word, or nothing."""
    found = nearest(word, known)
    return f"; did you mean `{found}`?" if found else ""


def listed(words: Iterable[str]) -> str:
    """The words with commas between them."""
    return ", ".join(words)


def shortened(text: str, limit: int = 60) -> str:
    """`text` on one line and at most `limit` characters long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _snake(word: str) -> str:
    """`dependsOn` and `depends-on` as `depends_on`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in word).replace("-", "_").strip("_")
