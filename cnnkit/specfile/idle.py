"""Idle: what a spec asks for that does nothing in so short a training, or in so small batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnnkit.arrays import counted
from cnnkit.base.transform import BatchTransform
from cnnkit.source import Finding

if TYPE_CHECKING:
    from cnnkit.specfile.runspec import RunSpec


def doubt_idle(spec: RunSpec) -> Iterator[Finding]:
    """Yield transforms without an image to mix with, rates that never drop, and the like."""
    alone = next((name for name in ("batch", "shard") if getattr(spec.train, name) == 1), None)
    for index, transform in enumerate(spec.data.transforms):
        if alone and isinstance(transform, BatchTransform):
            yield Finding(
                ("data", "transforms", index),
                f"[data]: {transform.type} mixes the images of a shard, and with [train] {alone} = "
                "1 there is nothing to mix an image with",
            )
    schedule, epochs = spec.optimizer.schedule, spec.train.epochs
    drops = {"step": "every", "multistep": "milestones"}.get(schedule.type, "")
    first = getattr(schedule, drops, 0)
    first = min(first) if isinstance(first, list) else first
    if first >= epochs:
        yield Finding(
            ("optimizer", "schedule", drops),
            f"[optimizer] schedule: {schedule.type} first lowers the rate after epoch {first}, and "
            f"there are to be {counted(epochs, 'epoch')}",
        )
    for index, one in enumerate(spec.train.callbacks):
        least = getattr(one, "min_rate", 0)
        if one.type == "plateau" and least >= spec.optimizer.lr > 0:
            yield Finding(
                ("train", "callbacks", index, "min_rate"),
                f"[train]: plateau lowers no rate to less than min_rate = {least:g}, and "
                f"[optimizer] lr = {spec.optimizer.lr:g}",
            )
