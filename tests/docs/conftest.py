"""A fresh virtual environment with the checkout in it, installed by pip."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fresh:
    """An environment of its own: `fresh.run("pip install x", folder)`."""

    folder: Path

    def run(self, script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell as if the environment were activated."""
        kept = ("HOME", "LANG", "TMPDIR", "PIP_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy")
        variables = {k: v for k, v in os.environ.items() if k.startswith(kept)} | {
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
            "VIRTUAL_ENV": str(self.folder),
            "PIP_NO_COMPILE": "1",  # most of what is installed here is imported once or never
            "COLUMNS": "200",
        }
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300
        )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Fresh:
    """The environment; skips where no package index can be reached, since a build needs one."""
    place = tmp_path_factory.mktemp("fresh")
    venv = Fresh(place / "venv")
    subprocess.run([sys.executable, "-m", "venv", venv.folder], check=True)
    probe = venv.run("pip download --quiet --no-deps --retries 0 --dest . hatchling", place)
    if probe.returncode:
        pytest.skip(f"no package index can be reached: {probe.stderr.strip().splitlines()[-1]}")
    lend(venv.folder, place / "lent")
    done = venv.run(f"pip install --quiet {ROOT}", place)
    assert done.returncode == 0, done.stderr
    return venv


def lend(venv: Path, lent: Path) -> None:
    """Let the environment have what cnnkit and its authors need, as far as it is installed here.

    NumPy and mypy take long to unpack. Links, and not the whole folder: cnnkit itself and the
    plugins that are here must not be there.
    """
    lent.mkdir()
    for found in needed(["cnnkit", "pytest", "ruff", "mypy"]):
        scripts = found.entry_points.select(group="console_scripts")
        for script in scripts:
            file = venv / "bin" / script.name
            lines = f"#!{venv}/bin/python\nfrom {script.module} import {script.attr} as main\n"
            file.write_text(f"{lines}raise SystemExit(main())\n", encoding="utf-8")
            file.chmod(0o755)
        for file in found.files or ():
            top = lent / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not top.is_symlink():
                top.symlink_to(str(found.locate_file(file.parts[0])))
            elif file.parts[-2:-1] == ("bin",) and file.name not in scripts.names:
                (venv / "bin" / file.name).symlink_to(str(found.locate_file(file)))
    paths = sysconfig.get_paths("venv", vars={"base": str(venv), "platbase": str(venv)})
    (Path(paths["purelib"]) / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


def needed(names: list[str]) -> Iterator[Distribution]:
    """Yield what the distributions named need, themselves included; cnnkit is not lent."""
    seen = set(names)
    while names:
        try:
            found = distribution(names.pop())
        except PackageNotFoundError:  # then pip gets it
            continue
        for requirement in map(Requirement, found.requires or ()):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in seen:
                seen.add(requirement.name)
                names.append(requirement.name)
        if found.name != "cnnkit":
            yield found
