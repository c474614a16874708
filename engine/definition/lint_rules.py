"""The rules of warnings by their ids, which never change: files name them in comments, other programs count them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LintRule:
    """What a rule finds, in one sentence. `beside` says that it asks the files of rules beside the runbook too."""

    finds: str
    beside: bool = False


RULES: Mapping[str, LintRule] = {
    "approve-on-timeout": LintRule("A gate lets the run go on when nobody decided."),
    "channel-by-value": LintRule("A message goes to a channel that is not written down."),
    "cleanup-of-nothing": LintRule("An undo or a cleanup takes back what was never done."),
    "constant-condition": LintRule("A condition has the same answer in every run."),
    "endless-loop": LintRule("A `while` asks what no round can change."),
    "gate-behind-effect": LintRule("A gate comes behind everything that it could prevent."),
    "impossible-comparison": LintRule("A parameter is compared with a value that its `enum` does not have."),
    "incident-fact-may-be-missing": LintRule("A fact is read that people may not have given the incident."),
    "invalid-ignore": LintRule("A `# lint:` comment names no rule, an unknown rule or no reason."),
    "longer-than-run": LintRule("A delay or timeout is longer than the run may take."),
    "markup-as-text": LintRule("Slack's markup stands where it is shown as text."),
    "needs-requester": LintRule("A gate needs somebody who may have asked for the run.", beside=True),
    "output-may-be-missing": LintRule("Outputs are read of a step that need not have run."),
    "parameter-may-be-missing": LintRule("A parameter that is not required is read without a default."),
    "plain-http": LintRule("A call to another machine is not encrypted."),
    "retry-without-idempotency": LintRule("A call that is not idempotent has a `retry`, which does little."),
    "rings-everybody": LintRule("A message rings everybody in a channel."),
    "secret-host-by-value": LintRule("A value decides to which host a bound secret is sent.", beside=True),
    "secret-without-hosts": LintRule("`_secrets.yaml` names no hosts for a secret.", beside=True),
    "self-approval": LintRule("Whoever asked for the run may decide about it."),
    "shared-event": LintRule("A wait takes events that are for other teams."),
    "single-poll": LintRule("A poll has time for one call only."),
    "slot-held-while-waiting": LintRule("A gate or wait holds the only slot of a concurrency group."),
    "tolerated-gate": LintRule("A failure is to be tolerated that may be a refused gate."),
    "unasked-dry-run": LintRule("No live plan ever asks what a `dry_run` says."),
    "undo-without-idempotency": LintRule("An undo stops for a person when its outcome is not seen."),
    "ungated-risk": LintRule("A runbook of high risk changes something before anybody decides."),
    "unknown-output": LintRule("An output is read that the kind of step does not give."),
    "unknown-team": LintRule("`_access.yaml` has no such team.", beside=True),
    "unlisted-secret": LintRule("`_secrets.yaml` has no entry for a secret.", beside=True),
    "unnamed-sender": LintRule("A wait takes the word of any sender."),
    "unquoted-json": LintRule("A value stands in JSON that is written as text, without `tojson`."),
    "unreachable-step": LintRule("A step never runs."),
    "unused-ignore": LintRule("A `# lint:` comment ignores what is not there."),
    "unused-output": LintRule("A secret output is read by nothing."),
    "unused-parameter": LintRule("A parameter is read by nothing."),
    "written-secret": LintRule("A secret is written into the file or taken from what everybody may read."),
}
