"""Runbooks and their versions: from files to tables, and who approved what."""
