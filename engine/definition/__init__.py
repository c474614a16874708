"""A runbook as a file and as data: reading, checking, linting."""
