"""`cnnkit trace`: what the page says of a network is what the network does."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnkit.arrays import FRESH
from cnnkit.base import DataPaths
from cnnkit.datasets import Digits
from cnnkit.layers import Conv, Residual, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.report.how import how, packed
from cnnkit.report.trace_page import trace_page
from cnnkit.report.tracing import local_weights, trace

ROOT = Path(__file__).parents[2]
SPEC = Path(__file__).with_name("small.toml")
SPECS = sorted((ROOT / "specs").glob("*.toml"))


@pytest.fixture(scope="module")
def model():
    block = Residual(body=[Conv(filters=4, kernel=3, padding="same"), "relu"])
    stack = [Conv(filters=4, kernel=3, padding="same"), "relu", block, "pool", Softmax(units=10)]
    digits = Digits()
    return Model.build(
        stack, (1, 8, 8), dtype="float64", transforms=digits.transforms, trained_on=(0, 16)
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((1, 1, 8, 8)) - 0.5


def outputs(model, x):
    bare = Model(model.layers, model.network, model.input_shape, model.weights)
    return bare.predict(x)


def test_forward(model, x):
    found = trace(model, CrossEntropy(), x, 3)
    assert np.allclose(found.shares, outputs(model, x)[0], rtol=1e-12)
    assert found.guess == outputs(model, x)[0].argmax()
    assert found.loss == pytest.approx(-np.log(outputs(model, x)[0, 3]))
    assert [one.path for one in found.seen] == [
        "0_conv", "1_relu", "2_residual/0_conv", "2_residual/1_relu", "2_residual", "3_pool",
        "4_softmax/0_dense", "4_softmax", "4_softmax/1_softmax",
    ]  # fmt: skip
    for before, after in zip(found.seen[:2], found.seen[1:3], strict=True):
        assert np.array_equal(before.y, after.x)


def test_the_gradient_of_each_pixel(model, x):
    """Against two forward passes."""
    found, step = trace(model, CrossEntropy(), x, 3), 1e-6
    for row, column in [(0, 0), (3, 4), (7, 2)]:
        moved = [x.copy(), x.copy()]
        moved[0][0, 0, row, column] += step
        moved[1][0, 0, row, column] -= step
        scores = [trace(model, CrossEntropy(), one, 3).scores[found.guess] for one in moved]
        numeric = (scores[0] - scores[1]) / (2 * step)
        assert found.pixels[0, row, column] == pytest.approx(numeric, rel=1e-4, abs=1e-8)


def test_occlusion(model, x):
    """Against one image at a time, all pixels within reach of one place."""
    found = trace(model, CrossEntropy(), x, None)
    side, whole = found.patch, outputs(model, x)[0, found.guess]
    lost, times = np.zeros((8, 8)), np.zeros((8, 8))
    for row in range(1 - side // 2, 8 - side // 2):
        for column in range(1 - side // 2, 8 - side // 2):
            image, inside = x.copy(), np.zeros((8, 8), bool)
            inside[max(row, 0) : row + side, max(column, 0) : column + side] = True
            image[0, 0, inside] = np.median(x)
            lost[inside] += whole - outputs(model, image)[0, found.guess]
            times[inside] += 1
    assert np.allclose(found.covered, lost / times)


def test_a_kernel_is_what_a_convolution_says_of_itself(model, x):
    found = trace(model, CrossEntropy(), x, None)
    first = found.seen[0]
    weights = local_weights(first, (2, 4, 5))
    assert np.allclose(weights[:, 3:6, 4:7], model.weights["0_conv"]["W"][2])
    assert np.count_nonzero(weights) == 9


def test_the_sum_is_the_number(model, x):
    for one in trace(model, CrossEntropy(), x, None).seen:
        found = how(one)
        if found is not None:
            total = sum(term.total for term in found.terms) + found.others + found.rest
            assert total == pytest.approx(one.y[found.cell])
            for term in found.terms:
                assert np.sum(np.array(term.values) * term.weights) == pytest.approx(term.total)
    assert how(trace(model, CrossEntropy(), x, None).seen[0]) is not None


def test_numbers_for_the_script():
    array = np.array([[-2.0, 0.5, np.nan]])
    found = packed(array)
    raw = base64.b64decode(found["data"])
    back = np.frombuffer(raw, "<i2").reshape(found["shape"]) * found["unit"]
    assert np.allclose(back, [[-2.0, 0.5, 0.0]], atol=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_every_shipped_spec(spec, call, tmp_path, look):
    """Before any training; on the digits, which are always there."""
    resized = ', { type = "resize", size = 28 }' if spec.stem == "lenet" else ""  # or too small
    transforms = f'["scale"{resized}]'
    given = ("--set", "data.type=digits", "--set", f"data.transforms={transforms}")
    assert call("trace", spec, "7", *given) == (0, "trace.html\n", "")
    page = Path("trace.html").read_text(encoding="utf-8")
    assert "before any training: random weights" in page
    assert f"cnnkit trace {spec} 7 --set data.type=digits " in page
    assert len(page) < 2_000_000
    look(tmp_path / "trace.html", 400)


def test_options_laid_over_a_spec(call):
    """Names of layers stay as they are written."""
    named = ("--set", "model.layers.0.name=StemA", "--set", "model.layers.0.filters=9")
    assert call("trace", SPEC, *named) == (0, "trace.html\n", "")
    text = Path("trace.html").read_text(encoding="utf-8")
    assert "<h2>Layer StemA turns 1 map of 8×8 into 9 maps of 8×8</h2>" in text
    assert '<a href="#layer0">Layer StemA</a>' in text
    assert "<dd>StemA 9 → relu → pool → softmax 10</dd>" in text


def test_the_weights_that_a_spec_begins_with(trained, call):
    """With those of a run, it gives what the run gives."""
    for words in ([trained, "3"], [SPEC, "3", "--set", f"model.weights={trained}"]):
        assert call("trace", *words, "--out", "page.html")[0] == 0
        Path(f"page{len(words)}.html").write_text(Path("page.html").read_text(encoding="utf-8"))
    scores = [re.findall(r"(?s)<tbody>.*?</tbody>", Path(f"page{n}.html").read_text())[0]
              for n in (2, 4)]  # fmt: skip
    assert scores[0] == scores[1]
    assert f"the weights of {trained}/checkpoints/last" in Path("page4.html").read_text()


def test_other_images_of_a_run(trained, call):
    """Its data can be set, its network cannot."""
    assert call("trace", trained, "0", "--set", "model.dtype=float64") == (
        2, "", "error: cannot set model.dtype=float64: the network is the run's; set data, such as "
        "data.path\n",
    )  # fmt: skip
    images = 16 - Digits().load(DataPaths()).test.images
    labels = np.zeros(len(images), int)
    labels[:10] = range(10)
    np.savez("new.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    data = 'data={ type = "npz", path = "new.npz" }'
    code, _, err = call("trace", trained, "4", "--set", data, "--out", "page.html")
    assert code == 0, err
    assert "test image 4 of npz: 4" in Path("page.html").read_text(encoding="utf-8")


def plugin_layers():
    for name in ("prelu", "gabor", "mobile"):
        sys.path.append(str(ROOT / "plugins" / f"cnnkit-{name}"))
    from cnnkit_gabor import Gabor
    from cnnkit_mobile import SeparableConv
    from cnnkit_prelu import PRelu

    return {
        "prelu": PRelu(),
        "gabor": Gabor(kernel=3, orientations=2),
        "separable_conv": SeparableConv(channels=4, filters=6),
    }


@pytest.mark.parametrize("name", ["prelu", "gabor", "separable_conv"])
def test_layers_of_plugins(name, tmp_path, look):
    layer = plugin_layers()[name]
    data = Digits().load(DataPaths())
    stack = [Conv(filters=4, kernel=3, padding="same"), layer, "pool", Softmax(units=10)]
    model = Model.build(stack, (1, 8, 8), transforms=Digits().transforms, trained_on=(0, 16))
    image = data.test.images[0]
    x = Digits().transforms[0].apply(image[None], None, FRESH)
    found = trace(model, CrossEntropy(), x, 1)
    told = {"source": "one", "label": 1, "about": {}, "command": "cnnkit trace"}
    (tmp_path / "page.html").write_text(trace_page(model, found, image, (0, 16), **told))
    assert any(name in one.path for one in found.seen) or name == "separable_conv"
    look(tmp_path / "page.html")


def test_of_a_run(trained, call, tmp_path):
    out = str(tmp_path / "page.html")
    assert call("trace", trained, "3", "--out", out) == (0, f"{out}\n", "")
    text = Path(out).read_text(encoding="utf-8")
    label = Digits().load(DataPaths()).test.labels[3]
    assert f"test image 3 of digits: {label}" in text
    assert call("trace", trained, "--random", "--out", out)[0] == 0
    assert call("trace", trained) == (0, f"{trained}/trace.html\n", "")


def test_of_a_file(trained, call):
    np.save("one.npy", Digits().load(DataPaths()).test.images[3])
    assert call("trace", trained, "one.npy", "--out", "page.html") == (0, "page.html\n", "")
    assert "were the guess the label" in Path("page.html").read_text(encoding="utf-8")
    np.save("two.npy", np.zeros((2, 1, 8, 8), np.uint8))
    code, out, err = call("trace", trained, "two.npy")
    assert (code, out) == (2, "")
    assert err.startswith("error: two.npy holds 2 images\n  --> two.npy\n   = expected: one\n")


def test_an_unlikely_image_is_said_once(trained, call, tmp_path):
    digits = Digits().load(DataPaths(None, lambda line: None))
    np.save("inverted.npy", 255 - digits.test.images[0])
    code, _, err = call("trace", trained, "inverted.npy", "--out", "trace.html")
    assert code == 0
    assert err.startswith("warning: inverted.npy: the edges of the images are bright")
    assert err.count("warning") == 1


def test_no_such_image(trained, call):
    assert call("trace", trained, "9999") == (
        2, "", "error: digits has no test image 9999\n   = expected: 0 to 354, or a file\n"
    )  # fmt: skip
    code, _, err = call("trace", trained, "nix.png")
    assert code == 2
    assert "nix.png" in err


def test_pointing_at_a_number(trained, call, browser, tmp_path):
    """The script says what the network gave, and how: its sum is the number."""
    out = tmp_path / "page.html"
    assert call("trace", trained, "3", "--out", str(out))[0] == 0
    model = Model.load(trained / "checkpoints/last.safetensors")
    given = model.activations(Digits().load(DataPaths()).test.images[3:4])
    browser.open(out)
    for number, path in enumerate(["0_conv", "1_relu", "2_pool"]):
        told = browser.run(f"""(() => {{
          const section = document.getElementById("layer{number}");
          const map = section.querySelectorAll("[data-cells]")[2];
          for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"])
            map.dispatchEvent(new KeyboardEvent("keydown", {{ key }}));
          const told = section.querySelector(".how");
          return [told.querySelector("p").innerText, told.querySelector("p:last-child").innerText,
            [...told.querySelectorAll(".window")].map(one => one.innerText)];
        }})()""")
        value = given[path][0, 2, 2, 1]
        assert told[0].startswith(f"Map 3, row 3, column 2: {value:.3g}".replace("-", "−"))
        if path == "0_conv":
            first, bias = re.fullmatch(r"(\S+) (. \S+) \(bias\) = \S+", told[1]).groups()
            number_of = [float(n.replace("−", "-").replace("+", "").replace(" ", ""))
                         for n in (first, bias)]  # fmt: skip
            assert sum(number_of) == pytest.approx(value, abs=0.01)
            kernel = np.array(told[2][1].replace("−", "-").split(), float).reshape(3, 3)
            assert np.allclose(kernel, model.weights["0_conv"]["W"][2, 0], rtol=0.06, atol=0.01)
    assert browser.wrong() == []


@pytest.mark.parametrize(("width", "dark"), [(400, True), (900, False), (1600, True)])
def test_in_a_browser(width, dark, trained, call, look, tmp_path):
    call("trace", trained, "3", "--out", "page.html")
    assert look(tmp_path / "page.html", width, dark)["images"] > 10


def test_it_reads_without_its_script(trained, call):
    call("trace", trained, "3", "--out", "page.html")
    text = Path("page.html").read_text(encoding="utf-8")
    still = text.partition("<script")[0]
    assert "The gradient of the loss has size" in still
    assert '<table class="window">' in still
    numbers = re.search(r'(?s)id="numbers">(.*?)</script>', text)
    assert json.loads(numbers[1])["layers"][0]["kind"] == "conv"
