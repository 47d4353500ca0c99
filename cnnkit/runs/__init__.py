"""Runs: their directories, checkpoints and environment."""

from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.environment import environment
from cnnkit.runs.stored import StoredRun

__all__ = ["Checkpoint", "RunDirectory", "StoredRun", "environment"]
