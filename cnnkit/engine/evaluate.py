"""Evaluation: loss and metrics on a whole split, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnkit.base import Context, Metric, Split
from cnnkit.engine.plan import Plan
from cnnkit.model import Model
from cnnkit.pool import Pool
from cnnkit.shards import run_shards


def evaluate(
    model: Model, plan: Plan, metrics: Sequence[Metric], split: Split, pool: Pool
) -> dict[str, Any]:
    """Return `{"loss": mean loss, type of each metric: its figure}` on `split`.

    Evaluation mode: dropout stands still, and nothing is learned.
    """
    steps = [step for segment in plan.segments for step in segment.steps]
    y = run_shards(steps, model, split.images, pool)
    losses, _ = plan.loss.forward(y, split.labels)
    if plan.head is not None:
        y, _ = plan.head.forward(y, {}, Context())
    figures = {m.type: m.evaluate(y, split.labels, len(model.classes)) for m in metrics}
    return {"loss": float(losses.mean()), **figures}
