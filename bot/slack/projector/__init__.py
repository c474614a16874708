"""Keeping cards and threads up with runs, within what Slack allows."""
