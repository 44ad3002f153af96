"""Crash reports: what is known of each death, kept as files that a person can read."""
