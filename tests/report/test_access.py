"""Everybody can use the pages: axe-core finds nothing, nor do our checks of what it leaves open."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from cnnkit.cli import main

ROOT = Path(__file__).parents[2]
OWN = Path(__file__).with_name("access.js").read_text(encoding="utf-8")
AXE = """(() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  return axe.run({ resultTypes: ["violations"], ...%s }).then(found => found.violations.map(
    one => [one.id, one.nodes[0].html.slice(0, 200)]));
})()"""
PAGES = ("report", "compare", "trace", "look", "long")


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The text of axe-core, which judges whether everybody can use a page."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = ["npm", "pack", "axe-core@4", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    packed = list(folder.glob("*.tgz"))
    if done.returncode or not packed:
        pytest.skip("axe-core cannot be had from npm")
    with tarfile.open(packed[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.fixture(scope="session")
def pages(trained, tmp_path_factory) -> Path:
    """A folder with a page of each kind, and a trace of layers with long names."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(trained / "report.html", folder / "report.html")
    spec, deep = str(ROOT / "specs" / "tiny.toml"), str(ROOT / "specs" / "resnet.toml")
    digits = ("data.type=digits", 'data.transforms=["scale"]')
    for words in (
        ["report", trained, trained, "--out", folder / "compare.html"],
        ["trace", trained, "3", "--out", folder / "trace.html"],
        ["look", spec, "--html", folder / "look.html"],
        ["trace", deep, "--out", folder / "long.html", *(f"--set={one}" for one in digits)],
    ):
        assert main(list(map(str, words))) == 0
    return folder


@pytest.mark.parametrize(("width", "dark"), [(900, True), (400, False)])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(page, width, dark, pages, browser, axe):
    browser.open(pages / f"{page}.html", width, dark)
    browser.run(axe)
    assert browser.run(AXE % "{}") == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", PAGES)
def test_what_axe_leaves_open(page, dark, pages, browser):
    browser.open(pages / f"{page}.html", 900, dark)
    found = browser.run(OWN)
    assert found["faults"] == []
    assert found["texts"] > 100


def planted(text: str, pattern: str, instead: str) -> str:
    spoilt, count = re.subn(pattern, instead, text, count=1)
    assert count == 1, pattern
    return spoilt


@pytest.mark.parametrize(
    ("rule", "pattern", "instead"),
    [
        ("html-has-lang", '<html lang="en">', "<html>"),
        ("document-title", "<title>.*</title>", ""),
        ("image-alt", r'(<img [^>]*)alt="[^"]*"', r"\1"),
        ("svg-img-alt", r'(<svg [^>]*)aria-label="[^"]*"', r"\1"),
        ("page-has-heading-one", r"<h1>(.*)</h1>", r"<p>\1</p>"),
        ("heading-order", r"<h2>(.*)</h2>", r"<h5>\1</h5>"),
        ("empty-heading", r"<h2>.*</h2>", "<h2></h2>"),
        ("landmark-one-main", r"(?s)<main>(.*)</main>", r"<div>\1</div>"),
        ("landmark-unique", 'aria-label="Figures by class"', 'aria-label="Layers"'),
        ("empty-table-header", r'(<th scope="row">)loss</th>', r"\1</th>"),
        ("scope-attr-valid", 'scope="row"', 'scope="line"'),
        ("label", "<h2>", "<input><h2>"),
        ("button-name", "<h2>", "<button></button><h2>"),
        ("link-name", r'(<a href="#asked">).*?</a>', r"\1</a>"),
        ("scrollable-region-focusable", '<pre tabindex="0">', "<pre>"),
        ("tabindex", 'tabindex="0"', 'tabindex="3"'),
        ("color-contrast", "--soft: #565f69", "--soft: #9aa3ad"),
        ("meta-viewport", "initial-scale=1", "user-scalable=no"),
        ("list", r'<ul class="tiles', r'<ul><p>no</p></ul><ul class="tiles'),
    ],
)
def test_axe_sees_what_is_planted(rule, pattern, instead, pages, browser, axe, tmp_path):
    text = (pages / "report.html").read_text(encoding="utf-8")
    (tmp_path / "spoilt.html").write_text(planted(text, pattern, instead), encoding="utf-8")
    browser.open(tmp_path / "spoilt.html", 400)
    browser.run(axe)
    alone = f"{{ runOnly: [{rule!r}] }}"
    assert [found for found, _ in browser.run(AXE % alone)] == [rule]


@pytest.mark.parametrize(
    ("fault", "dark", "pattern", "instead"),
    [
        ("contrast 2.51: 0", False, r"(svg .tick, svg .name { fill:) var", r"\1 #9aa3ad; --x: var"),
        ("contrast", True, "--soft: #a6afb7", "--soft: #5f6770"),
        ("id twice: asked", False, '<section id="learning">', '<section id="asked">'),
        ("no scope: class", False, '<th scope="col">class', "<th>class"),
    ],
)  # fmt: skip
def test_our_own_checks_see_what_is_planted(
    fault, dark, pattern, instead, pages, browser, tmp_path
):
    text = (pages / "report.html").read_text(encoding="utf-8")
    (tmp_path / "spoilt.html").write_text(planted(text, pattern, instead), encoding="utf-8")
    browser.open(tmp_path / "spoilt.html", 900, dark)
    assert any(one.startswith(fault) for one in browser.run(OWN)["faults"])
