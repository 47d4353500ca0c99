"""R17: pages of hostile text. Names of classes, runs and files, remarks, records of the environment
and the docstrings of plugins may be anything: nothing of it runs, and no page is broken by it."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))

from browser import Browser, find_browser

from cnnkit.base import DataPaths, Layer
from cnnkit.cli import main
from cnnkit.datasets import Digits
from cnnkit.layers import Conv, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.plugins import load_plugins
from cnnkit.report.looking import look_page, survey
from cnnkit.report.several import runs_page
from cnnkit.report.single import run_page
from cnnkit.report.subject import subject_of
from cnnkit.report.trace_page import trace_page
from cnnkit.report.tracing import trace
from cnnkit.runs.directory import StoredRun

pytestmark = pytest.mark.reliability

NASTY = [
    "<script>window.ran = 1</script>", "</script><script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">', "' onmouseover='window.ran = 1", "</style><b>",
    "</title></head><body onload=window.ran=1>", "<!--", "-->", "]]>", "&lt;b&gt;&amp;", "&#0;",
    "</code></pre></details>", "</table></section></main>", "{{ 7 * 7 }}{% raw %}", "${ran}",
    "javascript:window.ran=1", "\x00\x1b[2J\x07", "\u202egnp.exe", "\u2028\u2029", "\ud800",
    "Z\u0351\u036b\u0343a\u0321l", "x" * 3000, "wide " * 400, "🦉", "\t\n ", "<svg/onload=ran=1>",
    "--share:1;background:url(http://127.0.0.1:9/x)",
]  # fmt: skip


class Shape(HTMLParser):
    """The tags of a page and the names of their attributes, in order, without text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("r17")
    spec = Path(__file__).parents[1] / "report" / "small.toml"
    arguments = ["--out", str(folder / "run"), "--quiet", "--no-report"]
    assert main(["run", str(spec), *arguments]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    binary = find_browser()
    if binary is None:
        yield None
        return
    with Browser(binary, tmp_path_factory.mktemp("profile")) as found:
        yield found


def documented(text: str) -> Layer:
    """Return a layer of somebody's, with this docstring."""

    class Mine(Layer):
        __doc__ = text.replace("\ud800", "")  # which no class may have
        type: Literal["mine"] = "mine"

        def forward(self, x, w, ctx):
            return x.copy(), lambda dy: (dy.copy(), {})

    return Mine()


def pages(run: Path, texts: list[str]) -> dict[str, str]:
    """Return a page of every kind with `texts` wherever text comes from elsewhere."""
    some = itertools.cycle(texts)
    names = [f"{next(some)}{i}" for i in range(10)]
    data = replace(Digits().load(DataPaths()), classes=tuple(names), name=next(some))
    stored = StoredRun(run)
    spec = stored.spec(load_plugins()).model_copy(update={"name": next(some)})
    model = Model.load(stored.checkpoint("last"))
    model = replace(model, classes=tuple(names))
    whole = subject_of(stored, spec, model, data)
    summary = {**whole.summary, "remarks": [next(some), next(some)], "dataset": next(some)}
    env = {"python": next(some), "os": next(some), "cpu": {"model": next(some), "count": 1},
           "plugins": {"layers/x": next(some)}, "blas": [{"library": next(some)}]}  # fmt: skip
    whole = replace(
        whole, path=Path(next(some).replace("/", "_").replace("\0", "_")), summary=summary, env=env,
        note=next(some), missing=next(some), files={"spec.toml": next(some), "resolved.toml": ""},
    )  # fmt: skip
    network = Model.build(
        [Conv(filters=2, kernel=3), documented(next(some)), Softmax(units=10)], (1, 8, 8),
        classes=names,
    )  # fmt: skip
    x = np.linspace(-0.5, 0.5, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    found = trace(network, CrossEntropy(), x, 3)
    told = {"source": next(some), "label": 3, "command": next(some)}
    return {
        "report": run_page(whole),
        "several": runs_page([whole, replace(whole, env={})]),
        "look": look_page(survey(data, spec.data, spec), spec, next(some)),
        "trace": trace_page(network, found, x[0], (-0.5, 0.5), about={next(some): next(some)},
                            **told),
    }  # fmt: skip


def test_pages(cases, run, browser, tmp_path):
    usual = {kind: Shape(page).tags for kind, page in pages(run, ["usual"]).items()}
    for case in cases(quick=10, full=60):
        texts = [str(case.rng.choice(NASTY)) + str(case.rng.choice(NASTY)) for _ in range(9)]
        for kind, page in pages(run, texts).items():
            assert Shape(page).tags == usual[kind]
            (tmp_path / f"{kind}.html").write_bytes(page.encode(errors="backslashreplace"))
            if browser is None:
                continue
            browser.open(tmp_path / f"{kind}.html", 400)
            assert browser.run("window.ran ?? null") is None
            assert browser.run("document.querySelectorAll('section').length") == len(
                [tag for tag in usual[kind] if tag[0] == "section"]
            )
            assert browser.run("document.documentElement.scrollWidth") <= 400, kind
            assert browser.wrong() == []


def test_records_that_hold_other_things(cases, run, tmp_path):
    """JSON of any kind, where figures are expected: a page, or an error that says what is wrong."""
    values = [None, -1, 1e308, "text", [], {}, [[1]], [["a"]], {"loss": "x"}, True, "nan"]
    names = ["test", "train", "dataset", "remarks", "epochs", "status"]
    rows = [(name, value) for name in names for value in values]
    for name, value in cases.of(rows, quick=10):
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        summary = json.loads((copy / "summary.json").read_text())
        (copy / "summary.json").write_text(json.dumps({**summary, name: value}))
        assert main(["report", str(copy)]) in (0, 2)
        shutil.rmtree(copy)
