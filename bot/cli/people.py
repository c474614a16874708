"""What people ask for, in the words of Slack: each verb is a few questions to the API, and its answer is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

from bot.cli import (
    admin_verbs,
    auditing,
    control_verbs,
    freezing,
    kept_requests,
    manual_tasks,
    plans,
    query_verbs,
    renewing,
    secrets,
    show,
)
from bot.cli.connect import Api, Refused
from bot.cli.follow import follow
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Options, Usage
from bot.grammar import Command
from bot.typed_hints import typed_here
from storage.records import Json

DONE, FAILED, USAGE, REFUSED, STILL_OPEN, INTERRUPTED = 0, 1, 2, 3, 4, 130
_USAGE_CODES = {"invalid_parameters", "reason_required", "malformed", "invalid_definition"}
_BEGIN = ("run", "retry", "replay")
"""Verbs whose run is followed when nothing else is said."""

VERBS: Mapping[str, Callable[[Invocation], Answer]] = {
    "list": query_verbs.runbooks,
    "show": query_verbs.runbook,
    "diff": query_verbs.diff,
    "studio": query_verbs.studio,
    "runs": query_verbs.runs,
    "status": query_verbs.status,
    "why": query_verbs.why,
    "logs": query_verbs.logs,
    "evidence": query_verbs.evidence,
    "can": query_verbs.can,
    "plan": plans.plan,
    "run": control_verbs.run,
    "pause": control_verbs.pause,
    "resume": control_verbs.resume,
    "cancel": control_verbs.cancel,
    "retry": control_verbs.retry,
    "skip": control_verbs.skip,
    "agree": control_verbs.agree,
    "resolve": control_verbs.resolve,
    "done": manual_tasks.done,
    "could-not": manual_tasks.could_not,
    "replay": control_verbs.replay,
    "handover": control_verbs.hand_over,
    "takeover": control_verbs.take_over,
    "approve": control_verbs.gate("approve"),
    "reject": control_verbs.gate("reject"),
    "withdraw": control_verbs.gate("withdraw"),
    "catchup": admin_verbs.catch_up,
    "incident": admin_verbs.incident,
    "incident open": admin_verbs.open_incident,
    "incident set": admin_verbs.edit_incident,
    "incident close": admin_verbs.close_incident,
    "freeze": freezing.freeze,
    "unfreeze": freezing.unfreeze,
    "freezes": freezing.freezes,
    "held": kept_requests.held,
    "release": kept_requests.release,
    "review": kept_requests.review,
    "reviews": kept_requests.reviews,
    "token": admin_verbs.token,
    "audit": auditing.search,
    "audit export": auditing.export,
    "report": auditing.report,
    "secret list": secrets.listed,
    "secret set": secrets.set_value,
    "secret delete": secrets.delete,
    "secret rotate-keys": secrets.rotate_keys,
    "admin sync": admin_verbs.sync,
    "admin approve": admin_verbs.approve,
    "admin renew": renewing.renew,
    "admin withdraw": renewing.withdraw,
    "admin deprecate": admin_verbs.deprecate,
    "admin rollback": admin_verbs.rollback,
    "admin history": admin_verbs.history,
    "admin verify": admin_verbs.verify,
}


def answer(api: Api, command: Command, options: Options) -> int:
    """Ask, show the answer, follow the run where that is meant; the exit code. Raises `Refused`, `Unreachable`."""
    found = VERBS[command.verb](Invocation(api, command, options))
    begins = command.verb in _BEGIN and bool(found.follow)
    follows = options.wait if options.wait is not None else begins
    if follows and not found.follow:
        raise Usage(f"“{command.verb}” is about no run that could be followed with --wait.")
    if follows:
        return _followed(api, found, options)
    if options.json:
        print(show.as_json(found.data))
    else:
        for line in found.lines:  # as they come: an export may have any number
            print(line if found.as_file and not sys.stdout.isatty() else show.safe([line]))
    return FAILED if found.failed else DONE


def _followed(api: Api, found: Answer, options: Options) -> int:
    run = api.get(f"executions/{found.follow}")
    try:
        if not options.json and (said := show.safe(found.lines)):
            print(said, flush=True)
        run = follow(api, run, options.timeout_s, quiet=options.json)
    except KeyboardInterrupt:
        _print(f"{run['id']} goes on without you.", _how_to_go_on(run))
        return INTERRUPTED
    if options.json:
        print(show.as_json(run))
    if show.ended(run):
        return DONE if run["status"] == "SUCCESS" else FAILED
    _print(f"{run['id']} is still open: {show.run_words(run)}.", _how_to_go_on(run))
    return STILL_OPEN


def _how_to_go_on(run: Json) -> str:
    return f"`runbook status {run['id']} --wait` follows it again, `runbook cancel {run['id']}` ends it."


def refused(error: Refused, options: Options) -> int:
    """Say what the API refused, and which exit code that is."""
    typed = partial(typed_here, command="runbook")
    if options.json:
        print(show.as_json(error.problem))
    elif error.fields:
        _print(*(typed(f"{name}: {why}" if name else why) for name, why in error.fields.items()))
    else:
        _print(typed(str(error)))
    if error.status >= 500:
        return FAILED
    return USAGE if error.code in _USAGE_CODES else REFUSED


def _print(*sentences: str) -> None:
    print(show.said(*sentences), file=sys.stderr)
