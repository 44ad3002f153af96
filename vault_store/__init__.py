"""Checkpoints and shared-memory hot state."""
