"""A plugin that looks installed, and a run that uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SPEC = """name = "case"
{metrics}
[data]
type = "{datasets}"
{transforms}
[model]
layers = [
  {{ type = "conv", filters = 4, kernel = 3{initializers} }}, {layers}
  {{ type = "pool" }}, "relu", {{ type = "softmax", units = 10 }},
]
[loss]
type = "{losses}"
[optimizer]
type = "{optimizers}"
lr = 0.1
{schedules}
[train]
epochs = 1
{callbacks}
"""
USES = {
    "datasets": "{}", "losses": "{}", "optimizers": "{}", "layers": '"{}",',
    "transforms": 'transforms = ["{}"]', "initializers": ', init = "{}"',
    "schedules": 'schedule = "{}"', "metrics": 'metrics = ["accuracy", "{}"]',
    "callbacks": 'callbacks = ["{}"]',
}  # fmt: skip
USUAL = dict.fromkeys(USES, "") | {
    "datasets": "digits", "losses": "cross_entropy", "optimizers": "sgd",
}  # fmt: skip
SIGNATURES = {
    "metrics": "evaluate(self, y, labels, classes)",
    "schedules": "factor(self, epoch, epochs)",
    "initializers": "draw(self, shape, fans, rng)",
    "optimizers": "update(self, weights, grads, state, lr, step)",
    "losses": "forward(self, y, labels)",
    "transforms": "apply(self, x, rng, scratch)",
    "callbacks": "step(self, training, state)",
}


def method(family: str, name: str, body: str) -> str:
    """Return a class whose one method has that body."""
    base = family[:-1].capitalize() if family != "losses" else "Loss"
    return (
        f"class Mine({base}):\n    '''Mine.'''\n    type: Literal['{name}'] = '{name}'\n"
        f"    def {SIGNATURES[family]}:\n        {body}\n"
    )


def run(folder: Path, name: str, source: str, family: str, *more: str) -> tuple[int, str]:
    """Install a plugin, run a spec that uses it, and return code and stderr."""
    site = folder / "site"
    info = site / f"cnnkit_{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cnnkit-{name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[cnnkit]\n{name} = cnnkit_{name}\n")
    (site / f"cnnkit_{name}.py").write_text(
        "from typing import Literal\nfrom pathlib import Path\nimport numpy as np\nimport cnnkit\n"
        "from cnnkit import hookimpl\nfrom cnnkit.base import *\n"
        "from cnnkit.base import Data, Dataset, Initializer, Layer, Loss, Metric, Optimizer\n"
        "from cnnkit.base import Schedule, Split, Transform\n"
        f"{source}\n@hookimpl\ndef cnnkit_{family}():\n    return [Mine]\n"
    )
    used = USUAL | {family: USES[family].format(name)}
    (folder / "spec.toml").write_text(SPEC.format(**used))
    command = [sys.executable, "-m", "cnnkit", "run", "spec.toml", "--out", "run", *more]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": str(site), "CNNKIT_PLUGINS": f"cnnkit-{name}"},
    )  # fmt: skip
    return ran.returncode, ran.stderr
