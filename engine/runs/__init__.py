"""What people ask of runs: start, steer, decide, deliver."""
