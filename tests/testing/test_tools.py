"""The kit's tools: derivatives around kinks, watching, comparing, hostile scratch."""

from __future__ import annotations

import math
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from cnnkit.layers import Conv, Dense, Residual
from cnnkit.testing.check import Fault, describe
from cnnkit.testing.manners import changed_files, watched
from cnnkit.testing.tools import (
    HostileScratch,
    difference,
    global_seed,
    global_state,
    numeric_derivative,
    require_finite,
)


def test_derivative_of_smooth_functions():
    assert numeric_derivative(math.exp, 1.0) == pytest.approx(1.0, abs=1e-9)
    assert numeric_derivative(lambda t: 3 * t + 7, 3.0) == pytest.approx(3.0, abs=1e-8)


@pytest.mark.parametrize("kink", [1e-6, 5e-6, -8e-6])
def test_derivative_steps_around_kinks(kink):
    assert numeric_derivative(lambda t: max(t - kink, 0.0), 1.0) is None


def test_watched_sees_files_processes_and_sockets(tmp_path):
    with watched() as seen:
        (tmp_path / "note.txt").write_text("x")
        subprocess.run([sys.executable, "-c", ""], check=True)
        socket.socket().close()
    events = [line.partition("(")[0] for line in seen]
    assert events[0] == "open"
    assert {"open", "subprocess.Popen", "socket.__new__"} <= set(events)
    before = list(seen)
    Path(os.devnull).read_text()
    assert seen == before


def test_watched_sees_its_own_thread_only():
    with watched() as seen:
        other = threading.Thread(target=lambda: Path(os.devnull).read_text())
        other.start()
        other.join()
    assert seen == []


def test_imports_do_not_count():
    sys.modules.pop("this", None)
    with watched() as seen:
        import colorsys  # noqa: F401
    assert seen == []


def test_changed_files_are_those_written_made_renamed_or_removed(tmp_path):
    folder, note, other = tmp_path / "f", tmp_path / "f" / "note.txt", tmp_path / "f" / "other"
    with changed_files() as changed:
        folder.mkdir()
        note.write_text("x")
        note.read_text()
        note.rename(other)
        other.unlink()
        (folder / ".." / "f").rmdir()
        Path(os.devnull).write_text("x")
        with os.fdopen(os.open(note.parent.parent / "raw", os.O_CREAT | os.O_WRONLY), "w") as file:
            file.write("x")
    assert changed == [folder, note, other, other, folder, tmp_path / "raw"]
    folder.mkdir()
    assert len(changed) == 6


def test_difference_names_the_first_place():
    a = np.array([[1.0, 2.0], [3.0, np.nan]])
    b = np.array([[1.0, 2.5], [4.0, np.nan]])
    assert difference(a, b) == "[0, 1] 2 became 2.5 (2 of 4 differ)"
    assert difference(a, a) == "no difference"
    assert difference(a, b.astype(np.float32)) == "float64 (2, 2) became float32 (2, 2)"


def test_what_is_not_finite_is_counted():
    arrays = {"y": np.array([1.0, np.nan, np.inf]), "dx": np.ones(3)}
    with pytest.raises(Fault) as caught:
        require_finite(arrays, "a step goes wrong")
    assert caught.value.got == "2 of 3 values of y are NaN or infinite"


def test_hostile_scratch_spoils_temps_only():
    scratch = HostileScratch()
    kept, temp = scratch.empty((2,), np.float32), scratch.temp("a", (2,), np.int16)
    assert np.isnan(kept).all()
    assert temp.tolist() == [32767, 32767]
    kept.fill(1)
    temp.fill(1)
    again = scratch.temp("a", (2,), bool)
    assert temp.tolist() == [32767, 32767]
    again.fill(False)
    scratch.spoil()
    assert again.all()
    assert kept.tolist() == [1, 1]


def test_global_seed_is_undone():
    before = global_state()
    with global_seed(3):
        assert global_state() != before
        random.random()  # noqa: S311
        np.random.random()
    assert global_state() == before


def test_describe():
    layer = Residual(body=[Conv(filters=1, kernel=3, padding="same")], shortcut=[])
    text = "residual(body=[conv(filters=1, kernel=(3, 3), padding='same')], shortcut=[])"
    assert describe(layer) == text
    assert describe(Dense(units=2)) == "dense(units=2)"
