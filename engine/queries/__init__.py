"""What is shown of runs: why they stand, what happened, what is on record."""
