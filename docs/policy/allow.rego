# POLICY_URL=https://opa.example.com/v1/data/runbook/allow
# The short form: yes or no. Nothing of high risk is started by a token, and nobody runs anything for team search.
package runbook

import rego.v1

default allow := false

allow if not refused

refused if {
	input.action in {"start", "retry", "replay"}
	input.thing.risk == "high"
	input.actor.scopes != null
}

refused if input.thing.team == "search"
