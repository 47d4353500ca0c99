"""Member: the near end of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.peers import PEERS
from cnnkit_bench.peers.base import Mode


class OutError(Exception):
    """A member cannot take part; `kind` is "cannot", "failed" or "mismatch"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Member:
    """A peer with a number of threads, in a process of its own. Use as a context manager.

    Args:
        peer: a name of `PEERS`.
        threads: threads it may use.
        folder: where the case lies.
        backend: cnnkit's; peers have none.
    """

    def __init__(self, peer: str, threads: int, folder: Path, backend: str = "") -> None:
        self.kind, self.threads, self._folder, self._backend = peer, threads, folder, backend
        self.peer = peer = f"{peer}-{backend}" if backend not in ("", "numpy") else peer
        self.version, self.idle = "", 0.0
        self.label = f"{peer} ({threads} {'thread' if threads == 1 else 'threads'})"
        self._log = folder / f"{peer}-{threads}.log"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "cnnkit_bench.worker"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                [*command, self.kind, str(self.threads), str(self._folder), self._backend],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **PEERS[self.kind].environment},
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def greet(self) -> None:
        """Wait until the library is imported.

        Raises:
            OutError: where it cannot be, or cannot express the network.
        """
        self.version = self._answer()["version"]

    def open(self, mode: Mode, batch: int, lr: float, still: bool = False) -> None:
        """Get ready for steps of `batch` images from the initial weights; `still`: no dropout."""
        self._ask(do="open", mode=mode, batch=batch, lr=lr, still=still)

    def turn(self, steps: int, warm: int = 0) -> float:
        """Return the seconds that `steps` steps took, after `warm` untimed ones."""
        answer = self._ask(do="turn", steps=steps, warm=warm)
        self.idle = max(self.idle, answer["idle"])
        return float(answer["seconds"])

    def outputs(self, count: int) -> Array:
        """Return the network's output for the first `count` images."""
        file = self._folder / f"{self.peer}-{self.threads}.npy"
        self._ask(do="outputs", count=count, file=str(file))
        return np.asarray(np.load(file, allow_pickle=False))

    def fit(self, data_dir: Path | None) -> tuple[dict[str, float], float]:
        """Let a Keras peer that is open for training learn all that the spec says; return its
        figures on the test split, and the seconds of its steps."""
        answer = self._ask(do="fit", data_dir=data_dir and str(data_dir))
        return answer["figures"], answer["seconds"]

    def _ask(self, **request: Any) -> dict[str, Any]:
        pipe = self._process.stdin
        if pipe is None or self._process.poll() is not None:
            raise OutError("failed", self._last_words())
        pipe.write(json.dumps(request).encode() + b"\n")
        pipe.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise OutError("failed", self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "cannot" in answer:
            raise OutError("cannot", answer["cannot"])
        if "error" in answer:
            raise OutError("failed", " ".join(answer["error"].split())[:200])
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"its process ended: {lines[-1] if lines else 'without a word'}"
