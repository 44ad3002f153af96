"""The log for people: JSON lines, rotated, written and followed without holding anybody up."""
