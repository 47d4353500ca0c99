"""Makes the pictures of the README: parts of a report and of a trace of specs/simple.toml.

python tests/report/pictures.py, with Chromium installed.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser, find_browser

from cnnkit.cli import main

ROOT = Path(__file__).resolve().parents[2]
IMAGE, WIDTH, HEIGHT = 107, 900, 1430
"""The test image that is traced, and what is shown of a page."""
LEFT_OUT = {
    "report": "section > .kicker, #asked, #classes, #extremes, #sure, #layers, nav, details, "
    "#learning .chart:nth-child(3), .lede, .facts.big div:nth-child(n+4)",  # the machine's speed
    "trace": "#layer1, #layer2, #layer3, .facts, nav, details",
}
"""What is not in the pictures, by page."""


def shoot(browser: Browser, page: Path) -> None:
    """Keep a picture of the top of a page, less what is left out."""
    browser.open(page, WIDTH)
    browser.run(f"document.querySelectorAll({LEFT_OUT[page.stem]!r}).forEach(one => one.remove())")
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}
    shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    (ROOT / ".github" / f"{page.stem}.png").write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    binary = find_browser() or sys.exit("no browser is installed: apt-get install chromium")
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        main(["run", str(ROOT / "specs" / "simple.toml"), "--out", "runs/simple", "--quiet"])
        main(["trace", "runs/simple", str(IMAGE)])
        with Browser(binary, Path(folder, "profile")) as browser:
            for name in LEFT_OUT:
                shoot(browser, Path(folder, "runs", "simple", f"{name}.html"))
