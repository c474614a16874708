"""Text that comes in and goes out: masking, logs, patterns, what can be stored."""
