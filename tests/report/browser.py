"""A browser without a window, driven over a pipe: what a page looks like, and what it complains of.

Source: https://chromedevtools.github.io/devtools-protocol; --remote-debugging-pipe reads commands
from file descriptor 3 and writes answers to 4, each ended by a NUL.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PROBE = """(() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const images = [...document.images];
  return {
    width: innerWidth, scroll: document.documentElement.scrollWidth, title: document.title,
    images: images.length, silent: images.filter(one => !one.alt).length,
    broken: images.filter(one => !one.complete || !one.naturalWidth).length,
    drawings: [...document.querySelectorAll("svg")].filter(
      one => !one.getAttribute("aria-label") && one.getAttribute("aria-hidden") !== "true").length,
  };
})()"""


def find_browser() -> str | None:
    """Return the path of an installed browser; None where there is none, or no such pipe."""
    found = filter(None, map(shutil.which, BROWSERS))
    return next(found, None) if sys.platform != "win32" else None


class Browser:
    """One browser with one page; use as a context manager."""

    def __init__(self, binary: str, profile: Path) -> None:
        import fcntl  # where there is one: on Windows nobody looks

        down, self._write = os.pipe()
        self._read, up = os.pipe()
        command = [binary, *QUIET, f"--user-data-dir={profile}", "about:blank"]

        def connect() -> None:  # in the child: the browser reads from 3 and writes to 4
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (down, up)]
            for end, wanted in zip(ends, (3, 4), strict=True):
                os.dup2(end, wanted)

        self._process = subprocess.Popen(
            command, pass_fds=(3, 4), preexec_fn=connect,
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(down)
        os.close(up)
        self._buffer, self._number, self._session = b"", 0, ""
        self._events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._write)
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._read)

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its answer; events meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser is gone"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def run(self, script: str) -> Any:
        """Return what a script in the page gives, once its promise is kept."""
        given = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")

    def open(self, page: Path, width: int = 900, dark: bool = False, media: str = "") -> None:
        """Go to a page, at a width, and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1000,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self._events):
            self._events.append(self._next())

    def wrong(self) -> list[str]:
        """Return what went wrong since the page was opened: exceptions, errors, refused loads."""
        self.run("1")  # whatever is on its way comes before the answer
        found = []
        for event in self._events:
            told = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(str(told["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert"):
                    found.append(str(told["args"]))
                case "Log.entryAdded" if told["entry"]["level"] == "error":
                    found.append(told["entry"]["text"])
        return found

    def screenshot(self, file: Path) -> None:
        """Keep a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))
