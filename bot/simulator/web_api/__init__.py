"""Slack's Web API, as far as a runbook bot can use it."""
