"""A peer's own process: `python -m cnnkit_bench.worker PEER THREADS FOLDER BACKEND`.

Requests come as JSON lines on stdin; each is answered by one JSON line. Libraries differ in what
they need from their process (Keras has one backend each) and in the threads they keep, so none
shares one with another.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from cnnkit_bench.case import Case
from cnnkit_bench.errors import NoPartError
from cnnkit_bench.peers import PEERS
from cnnkit_bench.peers.base import Peer

_LONG = 0.1
"""Seconds of waiting from which idle time is judged."""


def main(name: str, threads: int, folder: Path, backend: str) -> None:
    """Serve until stdin ends."""
    replies = _take_stdout()
    peer: Peer | None = None

    def build() -> dict[str, Any]:
        nonlocal peer
        case = Case.load(folder)
        if backend:
            case.overrides.append(f"train.backend={backend}")
        peer = PEERS[name].cls(case, threads)
        return {"version": peer.version()}

    _reply(replies, build)
    since = time.perf_counter(), time.process_time()
    for line in sys.stdin:
        idle = _idle_share(*since)
        if peer is None:
            return
        request, now = json.loads(line), peer
        _reply(replies, lambda: {**_answer(now, request), "idle": idle})  # noqa: B023  # at once
        since = time.perf_counter(), time.process_time()


def _take_stdout() -> TextIO:
    """Keep stdout for the replies; whatever a library prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _reply(replies: TextIO, act: Any) -> None:
    """Send what `act` returns, or what went wrong: the other side of the pipe decides."""
    try:
        answer = act()
    except NoPartError as error:
        answer = {"cannot": str(error)}
    except Exception as error:  # any library, any fault: its text belongs in the table
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    replies.write(json.dumps(answer) + "\n")
    replies.flush()


def _answer(peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
    match request.pop("do"):
        case "open":
            peer.open(**request)
        case "turn":
            return {"seconds": peer.turn(request["steps"], request["warm"])}
        case "outputs":
            np.save(request["file"], peer.outputs(request["count"]))
        case "fit":
            from cnnkit_bench.fit import fit  # which knows Keras

            return fit(peer, request["data_dir"])
    return {}


def _idle_share(wall: float, cpu: float) -> float:
    """Return how much of one core this process has used since its last answer.

    Waits too short to tell count as none.
    """
    waited = time.perf_counter() - wall
    return (time.process_time() - cpu) / waited if waited > _LONG else 0.0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
