"""Runs: their directories, checkpoints and environment."""
