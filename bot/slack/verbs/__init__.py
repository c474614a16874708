"""The words that are typed, and what each does."""
