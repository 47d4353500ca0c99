"""Find the layer at which a loss stopped being finite."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import FRESH, flatten
from cnnkit.base.place import spoken
from cnnkit.engine.batch import Batch
from cnnkit.engine.plan import Plan
from cnnkit.model import Model

ADVICE = "lower the learning rate, or add a warm-up to its schedule"


def diverged(model: Model) -> str:
    """Return a message that names the first weight with a value that is not finite, or ""."""
    for path, weight in flatten(model.weights).items():
        if not np.isfinite(weight).all():
            owner = spoken(path.partition("/")[0])
            return f"weight {path} of {owner} has diverged; {ADVICE}"
    return ""


@np.errstate(all="ignore")  # values that are not finite are what it looks for
def blame(plan: Plan, model: Model, batch: Batch, step: int) -> str:
    """Return a message that names the step and the first layer with a value that is not finite."""
    when, advice = f"epoch {batch.key[1] + 1}, step {step + 1}", ADVICE
    if culprit := diverged(model):
        return f"the loss is not finite at {when}: {culprit}"
    for shard in range(len(batch)):
        x = batch.input(shard, FRESH)
        if not np.isfinite(x).all():
            return f"the loss is not finite at {when}: the images are not finite; check the data"
        for segment in plan.segments:
            for name, layer in segment.steps:
                ctx = batch.context(shard, FRESH).child(name)
                x, _ = layer.forward(x, model.weights.get(name, {}), ctx)
                if not np.isfinite(x).all():
                    return (
                        f"the loss is not finite at {when}: {spoken(name)} is the first to "
                        f"give values that are not finite; {advice}"
                    )
    return f"the loss is not finite at {when}, though every layer's output is; {advice}"
