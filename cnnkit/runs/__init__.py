"""Runs: their directories, checkpoints and environment."""

from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import RunDirectory, StoredRun
from cnnkit.runs.environment import environment

__all__ = ["Checkpoint", "RunDirectory", "StoredRun", "environment"]
