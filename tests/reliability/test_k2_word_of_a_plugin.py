"""K2: what plugins return, raise and change unseen, through the command: exit 1 or 2, the plugin's
name and version, and no traceback unless asked for."""

# ruff: noqa: E501  # bodies of plugins stand on one line

from __future__ import annotations

import re

import pytest
from plugged import method, run

pytestmark = pytest.mark.reliability
SAME = """
    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})
"""
LAYERS = {
    "own_init": ("    def __init__(self, slope=0.3):\n        self.slope = slope\n" + SAME, "__init__"),
    "no_type": (SAME, "has the type"),
    "state": (
        "    def forward(self, x, w, ctx):\n        self.kept = x\n        return x, lambda dy: (dy, {})\n",
        "has no option 'kept'",
    ),
    "bad_shape_rule": ("    def output_shape(self, shape):\n        return shape['C']\n" + SAME, "TypeError"),
    "shape_of_floats": (
        "    def output_shape(self, shape):\n        return tuple(n / 1 for n in shape)\n" + SAME,
        "output_shape returned",
    ),
    "weights_are_none": ("    def weights(self, shape):\n        return None\n" + SAME, "declared"),
    "weights_raise": ("    def weights(self, shape):\n        return 1 / 0\n" + SAME, "ZeroDivisionError"),
    "no_gradient": (
        "    def weights(self, shape):\n        from cnnkit.base import Weight\n"
        "        return {'a': Weight((1,), 1.0)}\n"
        "    def forward(self, x, w, ctx):\n        return x * w['a'], lambda dy: (dy * w['a'], {})\n",
        "returned no gradient for a",
    ),
    "exits": ("    def forward(self, x, w, ctx):\n        raise SystemExit(0)\n", "SystemExit"),
    "batch_axis": (
        "    def forward(self, x, w, ctx):\n        return x[:1].copy(), lambda dy: (dy, {})\n",
        "forward returned y",
    ),
    "other_shape_in_evaluation": (
        "    def forward(self, x, w, ctx):\n        y = x.copy()\n"
        "        return y if ctx.training else y[:, :, :2], lambda dy: (dy, {})\n",
        "forward returned y: an array of shape (64, 4, 2, 6)",
    ),
    "no_array": ("    def forward(self, x, w, ctx):\n        return [x], None\n", "forward returned y"),
}  # fmt: skip
DATASETS = {
    "labels_from_one": ("y = y + 1", "train labels from 1 to 10"),
    "labels_as_floats": (
        "y = y.astype(float)",
        "train labels: an array of shape (1400,) and dtype",
    ),
    "labels_one_hot": ("y = np.eye(10)[y]", "train labels: an array of shape (1400, 10)"),
    "labels_short": ("y = y[:-5]", "397 test images with 392 labels"),
    "no_images": ("x = x[:, 0]", "train images: an array of shape (1400, 8, 8)"),
    "images_of_nan": ("x = x / 1.0; x[3] = np.nan", "image 3 holds values that are not finite"),
    "raises": ("raise KeyError('gone')", "raised KeyError"),
    "none": ("return None", "load returned None"),
    "one_name_twice": ("names = ('a',) * 10", "two classes named 'a'"),
    "class_names": ("names = list(names)", "classes ['0', '1'"),
}
METHODS = {
    "nan_figure": ("metrics", "return float('nan')", "evaluate returned nan"),
    "no_figure": ("metrics", "return None", "evaluate returned None"),
    "word_for_a_figure": ("metrics", "return 'good'", "evaluate returned 'good'"),
    "figure_of_numpy": ("metrics", "return y.mean()", "evaluate returned np.float32"),
    "overwrites_outputs": ("metrics", "y[:] = 0; return 1.0", "raised ValueError"),
    "negative_rate": ("schedules", "return -1.0", "factor returned -1.0"),
    "negative_in_the_end": ("schedules", "return 1 - 2 * epoch", "factor returned -"),
    "rate_a_word": ("schedules", "return '1'", "factor returned '1'"),
    "no_rate": ("schedules", "return None", "factor returned None"),
    "drawn_as_a_list": ("initializers", "return rng.random(shape).tolist()", "draw returned [["),
    "drawn_turned": ("initializers", "return rng.random(shape[::-1])", "draw returned an array of shape (3, 3, 1, 4)"),
    "drawn_infinite": ("initializers", "return rng.random(shape) / 0.0", "not all of it finite"),
    "replaces_weights": (
        "optimizers",
        "\n        for path in grads: weights[path] = weights[path] - lr * grads[path]",
        "put other arrays into weights",
    ),
    "removes_weights": ("optimizers", "weights.popitem()", "put other arrays into weights"),
    "moves_nothing": ("optimizers", "pass", "moved no weight"),
    "returns_weights": (
        "optimizers", "return {path: weights[path] - lr * grads[path] for path in grads}", "moved no weight",
    ),
    "mean_loss": ("losses", "return y.mean(), lambda: y * 0", "forward returned losses: np.float32"),
    "loss_in_double": ("losses", "return y.astype(float)[:, 0], lambda: y * 0", "dtype float64"),
    "outputs_for_a_gradient": ("losses", "return (y * y).sum(1) / 2, lambda: y", "returned y itself"),
    "overwrites_y": ("losses", "y -= 1; return (y * y).sum(1), lambda: 2 * y", "raised ValueError"),
    "overwrites_labels": ("losses", "labels.sort(); return (y * y).sum(1), lambda: 2 * y", "raised ValueError"),
    "overwrites_images": ("transforms", "x[...] = 0; return x", "raised ValueError"),
    "drops_images": ("transforms", "return x[:-1]", "apply returned images: an array of shape (15, 1, 8, 8)"),
    "no_images": ("transforms", "return None", "apply returned None"),
    "remembers_a_list": ("callbacks", "state['seen'] = [1]", "step left [1] of type list in state['seen']"),
    "remembers_of_numpy": ("callbacks", "state['norm'] = training.vector.max()", "step left np.float32"),
    "remembers_paths": ("callbacks", "state['w'] = dict(training.weights)", "in state['w']['0_conv/"),
    "rate_below_zero": ("callbacks", "training.rate = -0.1", "step left -0.1 of type float in training.rate"),
    "rate_of_numpy": ("callbacks", "training.rate = np.float64(0.1)", "in training.rate"),
    "other_rate_a_word": ("callbacks", "training.rate = '0.1'", "step left '0.1' of type str in training.rate"),
    "cannot_step": ("callbacks", "return 1 / 0", "raised ZeroDivisionError at step"),
}  # fmt: skip


def judge(cases, folder, name: str, source: str, family: str, said: str) -> None:
    code, error = run(folder / name, name, source, family)
    whose = f"cnnkit-{name} 0.1"
    cases.judge(code, error, f"(?s)^(?=.*{re.escape(said)}).*({re.escape(whose)}|images of {name})")
    assert code in (1, 2), error


def test_layers(cases, tmp_path):
    for name in cases.of(LAYERS, quick=5):
        body, said = LAYERS[name]
        kind = "" if name == "no_type" else f"    type: Literal['{name}'] = '{name}'\n"
        source = f"class Mine(Layer):\n    '''A layer.'''\n{kind}{body}"
        judge(cases, tmp_path, name, source, "layers", said)


def test_datasets(cases, tmp_path):
    for name in cases.of(DATASETS, quick=3):
        change, said = DATASETS[name]
        source = f"""
Z = np.load(Path(cnnkit.__file__).parent / "datasets" / "digits.npz")
X, Y = Z["images"].reshape(-1, 1, 8, 8), Z["labels"].astype(np.int64)
class Mine(Dataset):
    '''Digits.'''
    type: Literal['{name}'] = '{name}'
    def load(self, paths):
        x, y, names = X, Y, tuple('0123456789')
        {change}
        return Data('{name}', Split(x[:1400], y[:1400]), Split(x[1400:], y[1400:]), names)
"""
        judge(cases, tmp_path, name, source, "datasets", said)
        assert not (tmp_path / name / "run" / "summary.json").exists()


def test_other_families(cases, tmp_path):
    for name in cases.of(METHODS, quick=6):
        family, body, said = METHODS[name]
        judge(cases, tmp_path, name, method(family, name, body), family, said)


def test_the_traceback_comes_when_it_is_asked_for(cases, tmp_path):
    for name in cases.of(["bad_shape_rule"]):
        source = f"class Mine(Layer):\n    type: Literal['{name}'] = '{name}'\n{LAYERS[name][0]}"
        code, error = run(tmp_path, name, source, "layers", "--traceback")
        assert code == 2
        assert "Traceback (most recent call last):" in error
