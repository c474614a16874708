# POLICY_URL=https://opa.example.com/v1/data/runbook/change/decision
# The long form: with a reason. Databases are touched from Monday to Thursday, or in an incident, and in one region only.
package runbook.change

import rego.v1

default decision := {"allow": true}

decision := {"allow": false, "reason": "databases are left alone from Friday to Sunday, but for an incident"} if {
	input.action in {"start", "retry", "replay"}
	"db" in input.thing.tags
	weekday in {"Friday", "Saturday", "Sunday"}
	not input.incident.channel
} else := {"allow": false, "reason": "only region eu may be changed"} if {
	input.action == "start"
	input.parameters.region
	input.parameters.region != "eu"
}

weekday := time.weekday(time.parse_ns("2006-01-02T15:04:05Z", input.time))
