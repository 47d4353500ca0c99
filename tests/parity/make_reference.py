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
    EPOCHS,
    HEADS,
    NAMES,
    OPTIMIZERS,
    SCHEDULES,
    STEPS,
    Arrays,
    draw,
    head_problem,
    layer_problem,
    maps,
    network_problem,
)

from cnnkit.arrays import flatten
from cnnkit.base import Layer
from cnnkit.layers import Sequential

REFERENCE = Path(__file__).with_name("reference.json")


def by_torch(name: str) -> Arrays:
    """Return what PyTorch gives for the case, in float64, under cnnkit's names."""
    kind, _, rest = name.partition(": ")
    kinds = {
        "layer": _layer, "loss": _loss, "steps": _steps,
        "transform": _transform, "schedule": _schedule,
    }  # fmt: skip
    return kinds[kind](rest)


def _transform(name: str) -> Arrays:
    import torch
    import torch.nn.functional as F  # noqa: N812  # its usual name

    x = tensor(draw((3, 2, 6, 8), 1))
    _, _, H, W = x.shape
    if name.startswith("warp"):
        both = maps().tolist()  # of rows and of columns, for each image
        theta = [[[a[1], a[0] * H / W, 0], [d[1] * W / H, d[0], 0]] for d, a in both]
        grid = F.affine_grid(tensor(np.array(theta)), x.shape, align_corners=False)
        outside = {"warp, edge": "border", "warp, zeros": "zeros"}[name]
        y = F.grid_sample(x, grid, padding_mode=outside, align_corners=False)
    elif name == "normalize":
        std, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
        y = (x - mean) / std
    elif name == "resize, larger":
        y = F.interpolate(x, (11, 13), mode="bilinear", align_corners=False)
    elif name == "resize, smaller":  # by whole numbers, where "area" means areas
        y = F.interpolate(x, (3, 4), mode="area")
    else:
        y = F.interpolate(F.interpolate(x, (2, 8), mode="area"), (2, 12), mode="bilinear")
    return {"y": y.numpy()}


def _schedule(name: str) -> Arrays:
    import torch

    ours: Any = SCHEDULES[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    kinds = torch.optim.lr_scheduler
    if ours.type == "multistep":
        made: Any = kinds.MultiStepLR(optimizer, ours.milestones, ours.scale)
    else:
        start, end = 1 / ours.start, ours.start / ours.floor
        made = kinds.OneCycleLR(optimizer, 1.0, total_steps=EPOCHS, pct_start=ours.rise,
                                div_factor=start, final_div_factor=end)  # fmt: skip
    factors = []
    for _ in range(EPOCHS):
        factors.append(made.get_last_lr()[0])
        optimizer.step()
        made.step() if len(factors) < EPOCHS else None
    return {"factors": np.array(factors)}


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
    soft = labels.ndim == 2
    onehot = wanted if soft else _onehot(wanted, K)
    if loss.type == "cross_entropy":
        smoothing = loss.label_smoothing
        weights = tensor(np.array(loss.weights)) if loss.weights else None
        losses = F.cross_entropy(z, wanted, weights, reduction="none", label_smoothing=smoothing)
    elif loss.type == "binary_cross_entropy":
        losses = F.binary_cross_entropy_with_logits(z, onehot, reduction="none").mean(1)
    else:
        losses = F.mse_loss(run(head, z, {}), onehot, reduction="none").mean(1)
    losses.sum().backward()
    return {"losses": losses.detach().numpy(), "dlogits": z.grad.numpy()}


def _onehot(labels: Any, K: int) -> Any:
    import torch.nn.functional as F  # noqa: N812  # its usual name

    return labels[:, None].double() if K == 1 else F.one_hot(labels, K).double()


def _optimizer(given: dict[str, Any], w: dict[str, Any]) -> Any:
    """Return the optimizer for weights by path; weight decay is for those called W alone."""
    import torch

    ours = ("type", "clip", "clip_value", "accumulate", "weight_decay")
    options = {key: value for key, value in given.items() if key not in ours}
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    groups = [
        {"params": [one for path, one in w.items() if path.endswith("W") == is_matrix],
         "weight_decay": given.get("weight_decay", 0.0) * is_matrix}
        for is_matrix in (True, False)
    ]  # fmt: skip
    return kinds[given["type"]](groups, **options)


def _steps(name: str) -> Arrays:
    import torch

    network, optimizer = name.split(" ")
    _, model, split = network_problem(network, optimizer)
    w = tensors(flatten(model.weights))
    given = OPTIMIZERS[optimizer]
    optim, together = _optimizer(given, w), given.get("accumulate", 1)
    x, labels = tensor(split.images), tensor(split.labels)
    start, total = run(model.network, x, w).detach().numpy(), 0.0
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        with training():
            picked = run(model.network, x[rows], w)[torch.arange(BATCH), labels[rows]]
        loss = -picked.log().mean()
        count = min(together, STEPS - step // together * together)  # of batches for one update
        (loss / count).backward()
        if (step + 1) % together == 0 or step + 1 == STEPS:
            if "clip_value" in given:
                torch.nn.utils.clip_grad_value_(w.values(), given["clip_value"])
            if "clip" in given:
                learned = [one for one in w.values() if one.grad is not None]
                norm = torch.nn.utils.get_total_norm([one.grad for one in learned])
                for one in learned:  # clip_grad_norm_, less the 1e-6 that it adds to the norm
                    one.grad *= min(1.0, given["clip"] / float(norm))
            optim.step()
            optim.zero_grad()
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
