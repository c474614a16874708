"""The kinds of steps and what each does, and what their templates see."""
