"""PyTorch's answers to the cases, and the script that stores them as reference.json.

    pip install torch==2.13.0 && python tests/parity/make_reference.py

An array is stored as its shape and its inner products with two fixed random arrays: a wrong number
anywhere changes them, and the file stays small.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    tx, tw = tensor(x, True), tensors(weights)
    with training():
        y = run(layer, tx, tw)
    y.backward(tensor(dy))
    grads = {f"d{path}": w.grad.numpy() for path, w in tw.items() if w.requires_grad}
    renewed = {path: w.numpy() for path, w in tw.items() if not w.requires_grad}
    return {"y": y.detach().numpy(), "dx": tx.grad.numpy(), **grads, **renewed}


RUNNING = ("mean", "variance")
"""Names of weights that do not learn."""
_TRAINING = [False]


@contextmanager
def training() -> Iterator[None]:
    """Take statistics of the batch, and renew the running ones in place."""
    _TRAINING[0] = True
    yield
    _TRAINING[0] = False


def tensors(weights: Arrays) -> dict[str, Any]:
    return {path: tensor(w, path.rpartition("/")[2] not in RUNNING) for path, w in weights.items()}


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
        options = {"stride": lowered.stride or lowered.size, "ceil_mode": lowered.ceil}
        options["padding"] = _amounts(lowered.padding)
        if lowered.kind == "max":
            return F.max_pool2d(x, lowered.size, **options)
        return F.avg_pool2d(x, lowered.size, **options, count_include_pad=lowered.count_padding)
    if lowered.type == "dense":
        return F.linear(x.flatten(1), w["W"].T, w.get("b"))
    if lowered.type == "batch_norm":
        running, own = (w[name] for name in RUNNING), (w["gamma"], w["beta"])
        return F.batch_norm(x, *running, *own, _TRAINING[0], lowered.momentum, lowered.eps)
    if lowered.type == "layer_norm":
        return _layer_norm(lowered, x, w)
    if lowered.type in CONTAINERS:
        return CONTAINERS[lowered.type](lowered, x, w)
    return _activation(lowered, x)


def _amounts(padding: Any) -> list[int]:
    """Return the padding before each axis; the cases pad alike on both sides."""
    return [0, 0] if padding == "valid" else [before for before, _ in padding]


def _activation(layer: Any, x: Any) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    match layer.type:
        case "gelu":
            return F.gelu(x, approximate="none" if layer.form == "erf" else "tanh")
        case "leaky_relu":
            return F.leaky_relu(x, layer.slope)
        case "global_pool":
            pool = {"mean": F.adaptive_avg_pool2d, "max": F.adaptive_max_pool2d}[layer.kind]
            return pool(x, 1).flatten(1)
        case "softmax":
            return x.softmax(-1)
        case "hard_swish":
            return F.hardswish(x)
        case "tanh":
            return x.tanh()
    return {"relu": F.relu, "sigmoid": F.sigmoid, "silu": F.silu}[layer.type](x)


def _layer_norm(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    if layer.over == "sample":
        return F.group_norm(x, 1, w["gamma"], w["beta"], layer.eps)
    last = x.movedim(1, -1)
    return F.layer_norm(last, last.shape[-1:], w["gamma"], w["beta"], layer.eps).movedim(-1, 1)


def _sequential(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    for name, child in layer.steps:
        x = run(child, x, below(w, name))
    return x


def _residual(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    body = _sequential(Sequential(layers=layer.body), x, w)
    if layer.shortcut:
        return body + _sequential(Sequential(layers=layer.shortcut), x, below(w, "shortcut"))
    if layer.project:
        return body + F.conv2d(x, w["shortcut/0_conv/W"], stride=2)
    return body + x


def _parallel(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    import torch

    ys = []
    for index, branch in enumerate(layer.branches):
        ys.append(_sequential(Sequential(layers=branch), x, below(w, f"{index}_branch")) if branch
                  else x)  # fmt: skip
    if layer.join == "concat":
        return torch.cat(ys, 1)
    return sum(ys) / (len(ys) if layer.join == "mean" else 1)


def _squeeze_excite(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    squeezed = F.linear(x.mean((2, 3)), w["1_dense/W"].T, w["1_dense/b"]).relu()
    return x * F.linear(squeezed, w["3_dense/W"].T, w["3_dense/b"]).sigmoid()[:, :, None, None]


def _depthwise_separable(layer: Any, x: Any, w: dict[str, Any]) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    padding, C = _amounts(layer.padding), x.shape[1]
    x = F.conv2d(x, w["0_conv/W"], stride=layer.stride, padding=padding, groups=C)
    for child in layer.between:
        x = run(child, x, {})
    last = f"{1 + len(layer.between)}_conv"
    return F.conv2d(x, w[f"{last}/W"], w.get(f"{last}/b"))


CONTAINERS = {
    "sequential": _sequential,
    "residual": _residual,
    "parallel": _parallel,
    "squeeze_excite": _squeeze_excite,
    "depthwise_separable": _depthwise_separable,
}


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
    w = tensors(flatten(model.weights))
    options = {key: value for key, value in OPTIMIZERS[optimizer].items() if key != "type"}
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optim = kinds[optimizer]([each for each in w.values() if each.requires_grad], **options)
    x, labels = tensor(split.images), tensor(split.labels)
    start, total = run(model.network, x, w).detach().numpy(), 0.0
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        with training():
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
