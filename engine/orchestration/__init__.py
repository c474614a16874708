"""The rules of a run: from its start through its steps and gates to its end."""
