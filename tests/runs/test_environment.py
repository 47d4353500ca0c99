"""Environment: the facts that decide a run's bits."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cnnkit.runs.environment import _cpu_model, environment


def test_environment() -> None:
    facts = environment({"layers": {"prelu": "cnnkit-prelu 0.1"}})
    assert json.loads(json.dumps(facts)) == facts
    assert list(facts) == ["cnnkit", "python", "os", "cpu", "numpy", "blas", "plugins"]
    assert facts["cnnkit"] == version("cnnkit")
    assert facts["python"] == platform.python_version()
    assert facts["numpy"]["version"] == np.__version__
    assert facts["plugins"] == {"layers": {"prelu": "cnnkit-prelu 0.1"}}
    assert facts["cpu"]["model"]


def test_blas_names_kernel_and_threads_in_force() -> None:
    blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
    with threadpool_limits(1, user_api="blas"):
        found = environment({})["blas"][0]
    assert found["library"] == blas["internal_api"]
    assert found["version"] == blas["version"]
    assert found["kernel"] == blas.get("architecture")
    assert found["threads"] == 1


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("model name\t: Fast CPU @ 3 GHz\nmodel name\t: other\n", "Fast CPU @ 3 GHz"),
        ("x: y\n", "z80"),
        (None, "z80"),
    ],
)
def test_cpu_model(tmp_path: Path, monkeypatch, cpuinfo: str | None, expected: str) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "z80")
    assert _cpu_model(tmp_path / "cpuinfo") == expected
