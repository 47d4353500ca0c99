"""The machine as a run sees it: BLAS, threads, cores, memory, and folders of data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cnnkit.commands._health import Ailment, Section

if TYPE_CHECKING:
    from cnnkit.base import Places
    from cnnkit.datasets.published import Published

# What needs NumPy is imported where it is used: the doctor works where NumPy does not.


def look_at_machine() -> Section:
    """Return cores, threads and memory."""
    from cnnkit.commands.show import size
    from cnnkit.pool import physical_cores
    from cnnkit.runs.environment import environment
    from cnnkit.spec.memory import physical_memory

    made, memory, threads = environment({}), physical_memory(), physical_cores()
    cpu: dict[str, Any] = made["cpu"]
    facts = {"os": made["os"], "cpu": cpu["model"], "cores": cpu["count"],
             "threads": threads, "memory": memory}  # fmt: skip
    return Section(facts, [
        f"{made['os']}, {cpu['model']}",
        f"{cpu['count']} cores, of which runs use {threads}; {size(memory)} of memory",
    ])  # fmt: skip


def look_at_blas() -> Section:
    """Return what multiplies matrices, with the kernel it has chosen for this processor."""
    from cnnkit.runs.environment import environment

    libraries: list[dict[str, Any]] = environment({})["blas"]
    section = Section(libraries)
    for library in libraries:
        kernel = f"kernel {library['kernel']}" if library["kernel"] else "unknown kernel"
        threads = f"{library['threads']} threads, 1 during runs"
        section.lines.append(f"{library['library']} {library['version']}, {kernel}, {threads}")
    if not libraries:
        section.lines.append("none that is known")
        what = "NumPy multiplies matrices with no BLAS that is known: runs may be slow"
        fix = "install NumPy's own build, which brings one: pip install --force-reinstall numpy"
        section.ailments.append(Ailment(what, fix))
    return section


def look_at_caches() -> Section:
    """Return where downloads are kept, and how much they take."""
    from cnnkit.base import Places
    from cnnkit.commands.show import size
    from cnnkit.datasets.download import cache_folder

    folder = cache_folder(Places())
    taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    facts = [{"what": "downloads", "path": str(folder), "bytes": taken, "writable": writable}]
    section = Section(facts, [f"downloads: {folder}, {size(taken)}"])
    if not writable:
        what = f"downloads cannot be kept in {folder}: {existing} is not a folder to write to"
        fix = "mend its permissions, or get the data by hand and set CNNKIT_DATA_DIR"
        section.ailments.append(Ailment(what, fix))
    return section


def look_at_data() -> Section:
    """Return the folder of datasets, and whether Fashion-MNIST can be had without a network."""
    from cnnkit.base import Places
    from cnnkit.datasets.fashion_mnist import FashionMnist
    from cnnkit.runs.places import data_folder

    folder = data_folder()
    section = _fashion_mnist(FashionMnist(transforms=[]), Places(data_dir=folder))
    section.facts["CNNKIT_DATA_DIR"] = folder and str(folder)
    section.lines.insert(0, f"CNNKIT_DATA_DIR: {folder or 'not set'}")
    if folder and not folder.is_dir():
        what = f"CNNKIT_DATA_DIR names {folder}, which is no folder"
        section.ailments.append(Ailment(what, "make it, or name the folder that holds the data"))
    return section


def _fashion_mnist(dataset: Published, places: Places) -> Section:
    from cnnkit.datasets.reading import digest

    published = dict(zip(dataset.names, dataset.sha256, strict=True))
    files = {name: dataset.local(name, sha256, places) for name, sha256 in published.items()}
    found = {name: path for name, path in files.items() if path}
    damaged = [path for name, path in found.items() if digest(path) != published[name]]
    state = "found" if len(found) == len(files) else "incomplete" if found else "not found"
    where = ", ".join(sorted({str(path.parent) for path in found.values()}))
    facts = {"state": "damaged" if damaged else state,
             "files": {name: path and str(path) for name, path in files.items()}}  # fmt: skip
    section = Section({"fashion_mnist": facts})
    section.lines.append(f"Fashion-MNIST: {facts['state']}{f' in {where}' if where else ''}")
    for path in damaged:
        what = f"{path} is not the file that was published as Fashion-MNIST"
        section.ailments.append(Ailment(what, "delete it, and get it anew"))
    return section
