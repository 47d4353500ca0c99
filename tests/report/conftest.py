"""Runs to make pages of, and a real browser to look at these with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnkit.cli import main

sys.path.append(str(Path(__file__).parent))  # the module that lies beside these tests

from browser import PROBE, Browser, find_browser

SPEC = Path(__file__).with_name("small.toml")
Look = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    monkeypatch.delenv("CNNKIT_DATA_DIR", raising=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The folder of a finished run; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["run", str(SPEC), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    binary = find_browser()
    if binary is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    with Browser(binary, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def look(browser) -> Look:
    """Open a page and demand what holds for every page at every width; return what was seen.

    With CNNKIT_SHOTS=FOLDER in the environment, what is seen is kept there.
    """

    def look_(page: Path, width: int = 900, dark: bool = False) -> dict[str, Any]:
        browser.open(page.resolve(), width, dark)
        if shots := os.environ.get("CNNKIT_SHOTS"):
            browser.screenshot(Path(shots) / f"{page.stem}-{width}{'-dark' * dark}.png")
        found = browser.run(PROBE)
        assert found["width"] == width
        assert found["scroll"] <= width, "the page overflows"
        assert (found["silent"], found["broken"], found["drawings"]) == (0, 0, 0)
        assert browser.wrong() == []
        return found

    return look_


@pytest.fixture
def call(capsys):
    def call_(*arguments):
        capsys.readouterr()
        code = main(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return call_
