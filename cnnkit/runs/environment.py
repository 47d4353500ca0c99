"""Environment: what decides the bits of a run besides its spec."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from cnnkit.base import Backend


def environment(registry_facts: dict[str, Any]) -> dict[str, Any]:
    """Return the content of env.json: versions, machine, BLAS, and who supplied each type.

    Args:
        registry_facts: the distribution and version behind every type in use.
    """
    config: Any = np.show_config(mode="dicts")
    simd = config["SIMD Extensions"].get("found", [])  # that NumPy's own loops use here
    return {
        "cnnkit": version("cnnkit"),
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
        "numpy": {"version": np.__version__, "simd": simd},
        "blas": [_blas(library) for library in threadpool_info() if library["user_api"] == "blas"],
        "plugins": registry_facts,
    }


def computed_by(backend: Backend) -> dict[str, str]:
    """Return what env.json says of a backend: its type, and what else decides its bits."""
    return {"type": backend.type, **backend.describe()}


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name; Python knows only the machine's on Linux."""
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _blas(library: dict[str, Any]) -> dict[str, Any]:
    return {
        "library": library["internal_api"],
        "version": library["version"],
        "kernel": library.get("architecture"),
        "threads": library["num_threads"],
        "threading": library.get("threading_layer"),
    }
