"""PyTorch's answers to the cases, and the script that stores them as reference.json.

    pip install torch==2.13.0 && python tests/parity/make_reference.py

An array is stored as its shape and its inner products with two fixed random arrays: a wrong number
anywhere changes them, and the file stays small.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":  # a script finds its neighbour by itself; pytest goes through conftest
    sys.path.insert(0, str(Path(__file__).parent))

from cases import (
    BATCH,
    HEADS,
    NAMES,
    OPTIMIZERS,
    STEPS,
    Arrays,
    draw,
    head_problem,
    layer_problem,
    network_problem,
)

from cnnkit.arrays import flatten
from cnnkit.base import Layer
from cnnkit.layers import Sequential

REFERENCE = Path(__file__).with_name("reference.json")


def by_torch(name: str) -> Arrays:
    """Return what PyTorch gives for the case, in float64, under cnnkit's names."""
    kind, _, rest = name.partition(": ")
    return {"layer": _layer, "loss": _loss, "steps": _steps}[kind](rest)


def tensor(array: Any, learn: bool = False) -> Any:
    import torch

    return torch.tensor(array, requires_grad=learn)


def _layer(name: str) -> Arrays:
    layer, x, weights, dy = layer_problem(name)
    tx, tw = tensor(x, True), {path: tensor(w, True) for path, w in weights.items()}
    y = run(layer, tx, tw)
    y.backward(tensor(dy))
    grads = {f"d{path}": w.grad.numpy() for path, w in tw.items()}
    return {"y": y.detach().numpy(), "dx": tx.grad.numpy(), **grads}


def run(layer: Layer, x: Any, w: dict[str, Any]) -> Any:
    """Run one cnnkit layer by PyTorch's functions; w is flat, with paths below this layer."""
    import torch.nn.functional as F  # noqa: N812  # its usual name

    lowered: Any = layer.lower()
    if lowered.type == "conv":
        pads = lowered.padding  # the cases pad alike on both sides, or say "same"
        pads = pads if isinstance(pads, str) else [before for before, _ in pads]
        options = {"stride": lowered.stride, "dilation": lowered.dilation, "padding": pads}
        return F.conv2d(x, w["W"], w.get("b"), groups=lowered.groups, **options)
    if lowered.type == "pool":
        pool = {"max": F.max_pool2d, "mean": F.avg_pool2d}[lowered.kind]
        return pool(x, lowered.size, lowered.stride or lowered.size)
    if lowered.type == "dense":
        return F.linear(x.flatten(1), w["W"].T, w.get("b"))
    if lowered.type == "sequential":
        for name, child in lowered.steps:
            x = run(child, x, below(w, name))
        return x
    if lowered.type == "residual":
        body, shortcut = Sequential(layers=lowered.body), Sequential(layers=lowered.shortcut)
        return run(body, x, w) + run(shortcut, x, below(w, "shortcut"))
    return {"relu": F.relu, "sigmoid": F.sigmoid, "softmax": _softmax}[lowered.type](x)


def _softmax(x: Any) -> Any:
    return x.softmax(-1)


def below(w: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the weights under `name`, by the rest of their paths."""
    return {p.removeprefix(f"{name}/"): v for p, v in w.items() if p.startswith(f"{name}/")}


def _loss(name: str) -> Arrays:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    logits, labels = head_problem(name)
    head, loss, K = HEADS[name]
    z, wanted = tensor(logits, True), tensor(labels)
    onehot = wanted[:, None].double() if K == 1 else F.one_hot(wanted, K).double()
    if loss.type == "cross_entropy":
        smoothing = loss.label_smoothing
        losses = F.cross_entropy(z, wanted, reduction="none", label_smoothing=smoothing)
    elif loss.type == "binary_cross_entropy":
        losses = F.binary_cross_entropy_with_logits(z, onehot, reduction="none").mean(1)
    else:
        losses = F.mse_loss(run(head, z, {}), onehot, reduction="none").mean(1)
    losses.sum().backward()
    return {"losses": losses.detach().numpy(), "dlogits": z.grad.numpy()}


def _steps(name: str) -> Arrays:
    import torch

    network, optimizer = name.split(" ")
    _, model, split = network_problem(network, optimizer)
    w = {path: tensor(array, True) for path, array in flatten(model.weights).items()}
    options = {key: value for key, value in OPTIMIZERS[optimizer].items() if key != "type"}
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optim = kinds[optimizer](list(w.values()), **options)
    x, labels = tensor(split.images), tensor(split.labels)
    start, total = run(model.network, x, w).detach().numpy(), 0.0
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        picked = run(model.network, x[rows], w)[torch.arange(BATCH), labels[rows]]
        loss = -picked.log().mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        total += float(loss.detach())
    end = run(model.network, x, w).detach().numpy()
    weights = {path: array.detach().numpy() for path, array in w.items()}
    return {"start": start, "end": end, "loss": np.array([total / STEPS]), **weights}


def fingerprint(array: np.ndarray) -> list[Any]:
    """Return the shape and two projections of an array."""
    return [list(array.shape), *(float(np.vdot(draw(array.shape, s), array)) for s in (100, 101))]


def main() -> None:
    """Write PyTorch's answers to reference.json."""
    import torch

    stored = {name: {k: fingerprint(a) for k, a in by_torch(name).items()} for name in NAMES}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in stored.items()]
    head = f'"made by": "make_reference.py, torch {torch.__version__}, float64"'
    REFERENCE.write_text("{\n" + ",\n".join([head, *lines]) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
