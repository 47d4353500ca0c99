"""Where datasets may look for their files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cnnkit.base import Places
from cnnkit.errors import DataError
from cnnkit.spec.runspec import RunSpec


def find_places(
    spec: RunSpec,
    data_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: bool = False,
) -> Places:
    """Return where the spec's dataset may look: `data_dir`, else CNNKIT_DATA_DIR, and the cache.

    Raises:
        DataError: where there is no folder `data_dir`: somebody meant it, and mistyped.
    """
    if data_dir and not data_dir.is_dir():
        raise DataError(
            f"there is no data folder {data_dir}\n"
            "   = expected: a folder of downloaded datasets, which holds fashion-mnist, say"
        )
    folder = data_dir or data_folder()
    places = Places(spec_dir=spec.source.folder, data_dir=folder, progress=progress)
    return replace(places, say=say) if say else places


def data_folder() -> Path | None:
    """Return the folder of datasets that CNNKIT_DATA_DIR names, if it does."""
    from_environment = os.environ.get("CNNKIT_DATA_DIR")
    return Path(from_environment) if from_environment else None
