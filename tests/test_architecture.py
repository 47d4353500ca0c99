"""The rules of the design that a reader cannot see in one file: who imports whom, and sizes.

`pytest -s tests/test_architecture.py` prints the size budget.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

import cnnkit

ROOT = Path(cnnkit.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

FAMILIES = {
    "layers", "losses", "optimizers", "schedules",
    "initializers", "datasets", "transforms", "metrics", "observers", "callbacks", "backends",
}  # fmt: skip
WORDS = {"arrays", "described", "errors", "kernels", "base"}
LOOKUP = {*WORDS, "hookspecs", "registry", "plugins", "provenance"}
SERVICES = {"files", "stdout", "workers", "meeting"}
SPECS = {*LOOKUP, "signals", "source", "tables", "memory", "values", "diagnosis", "specfile"}
MAY_IMPORT: dict[str, set[str]] = {
    "described": set(),
    "errors": set(),
    "arrays": set(),
    "signals": set(),
    "stdout": set(),
    "files": {"arrays", "errors"},
    "meeting": {"arrays"},
    "workers": {"arrays", "errors", "meeting"},
    "kernels": {"arrays", "errors"},
    "base": WORDS,
    "source": WORDS,
    "hookspecs": WORDS,
    **{family: {*WORDS, "hookspecs"} for family in FAMILIES},
    "observers": {*WORDS, "hookspecs", "files"},
    "split": WORDS,
    "datasets": {*WORDS, "hookspecs", "split"},
    "registry": {*WORDS, "hookspecs"},
    "plugins": {*WORDS, "hookspecs", "registry", "stdout"},
    "plugin_files": {*WORDS, "hookspecs", "registry", "plugins", "files"},
    "provenance": {*WORDS, "hookspecs", "registry", "plugins"},
    "diagnosis": {*LOOKUP, "source", "stdout"},
    "specfile": SPECS,
    "memory": WORDS,
    "tables": {"stdout"},
    "summary": {*WORDS, "tables"},
    "values": WORDS,
    "folding": WORDS,
    "prediction": {*WORDS, "folding", "memory", "workers"},
    "plan": WORDS,
    "examined": {*LOOKUP, "workers", "values", "prediction", "plan"},
    "model": {*LOOKUP, *SERVICES, "values", "memory", "summary", "prediction", "examined"},
    "engine": {*LOOKUP, *SERVICES, "prediction", "plan", "examined", "model", "values"},
    "runs": {*SPECS, *SERVICES, "split", "model", "values", "engine"},
    "report": {
        *SPECS,
        *SERVICES,
        "summary",
        "prediction",
        "plan",
        "model",
        "values",
        "engine",
        "runs",
    },
    "scaffold": {"errors"},
    "commands": {
        *SPECS,
        *SERVICES,
        "summary",
        "prediction",
        "plan",
        "examined",
        "model",
        "values",
        "engine",
        "runs",
        "report",
        "scaffold",
    },
    "cli": {*SPECS, *SERVICES, "model", "values", "engine", "runs", "commands", "plugin_files"},
    "__main__": {"cli", "commands"},
    "testing": {*SPECS, *SERVICES, "model", "values", "engine"},
    "notebook": {
        *SPECS,
        *SERVICES,
        "split",
        "plan",
        "examined",
        "model",
        "engine",
        "runs",
        "report",
    },
    "__init__": {"base", "errors", "hookspecs", "specfile", "model", "engine", "notebook"},
}
"""What each part of the package may import besides itself: the design's arrows, written out."""
EXCEPTIONS: dict[str, set[str]] = {
    "base": {"cnnkit.diagnosis.python"},  # where options given in Python are wrong
    "plugins": {"cnnkit.diagnosis.names"},  # where a backend named in Python is missing
    "losses": {"cnnkit.layers.softmax", "cnnkit.layers.sigmoid"},  # to fuse with them
    "memory": {"cnnkit.layers.conv"},  # whose columns are larger than its maps
    "summary": {"cnnkit.layers.sequential"},
    "folding": {
        f"cnnkit.layers.{name}"
        for name in ("batch_norm", "conv", "parallel", "residual", "sequential")
    },
    "model": {"cnnkit.layers.sequential"},  # the container that a model is
    "plan": {"cnnkit.layers.sequential"},
    "examined": {"cnnkit.layers.sequential"},
    "testing": {"cnnkit.layers.sequential"},  # which a chain is
    "commands": {
        "cnnkit.testing",  # `check`, for layers of a file on the command line
        *(f"cnnkit.datasets.{name}" for name in ("folders", "pictures", "npz", "files")),  # predict
        "cnnkit.datasets.recognise",  # init
        "cnnkit.__version__",
        *(f"cnnkit.datasets.{name}" for name in ("download", "mnist", "published")),  # doctor
    },
    "report": {
        "cnnkit.__version__",
        *(f"cnnkit.layers.{name}" for name in ("sequential", "conv", "pool", "padding")),  # trace
    },
    "notebook": {
        "cnnkit.commands._console",  # which draw its progress, as that of `cnnkit run`
        "cnnkit.commands._bar",
        "cnnkit.datasets.npz",  # in which a run's folder keeps the arrays
        "cnnkit.datasets.labels",
    },
    "cli": {"cnnkit.__version__"},
}
MAX_FILE, MAX_FUNCTION = 400, 30
BANNED_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
SAFE_RANDOM = {"Generator", "Philox", "default_rng", "SeedSequence", "BitGenerator"}


def part_of(path: Path) -> str:
    """Return the top-level part: "layers" for cnnkit/layers/conv.py, "model" for model.py."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(tree: ast.AST) -> list[str]:
    """Return the dotted names a file imports, those inside functions included."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            # `from cnnkit import hookspecs` names a module; `from cnnkit.base import Layer` a class
            whole = node.module == "cnnkit"
            found += [f"cnnkit.{a.name}" for a in node.names] if whole else [str(node.module)]
    return found


def runtime_imports(tree: ast.AST) -> list[str]:
    """Return what a file imports when it runs, what only a type checker reads left out."""
    typing_only = [n for n in ast.walk(tree) if isinstance(n, ast.If)
                   and ast.unparse(n.test) == "TYPE_CHECKING"]  # fmt: skip
    unseen = {name for block in typing_only for name in imports(block)}
    return [name for name in imports(tree) if name not in unseen]


def own_imports(path: Path) -> set[str]:
    return {name for name in imports(TREES[path]) if name.split(".")[0] == "cnnkit"}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's own lines, from `def` to its end: docstring and inner functions, which
    are counted by themselves, excluded. A backward pass stands inside its forward pass."""
    inner = [node for node in function.body if isinstance(node, ast.FunctionDef)]
    whole = (function.end_lineno or 0) - function.lineno + 1
    whole -= sum((node.end_lineno or 0) - node.lineno + 1 for node in inner)
    if ast.get_docstring(function) is None:
        return whole
    doc = function.body[0]
    return whole - ((doc.end_lineno or 0) - doc.lineno + 1)


def test_every_part_is_in_the_table():
    assert {part_of(path) for path in FILES} - MAY_IMPORT.keys() == set()


def test_the_arrows_have_no_way_back():
    """No chain of permitted imports leads from a part to itself."""

    def reach(part: str, seen: frozenset[str]) -> None:
        assert part not in seen, f"{part} can import itself through {sorted(seen)}"
        for other in MAY_IMPORT[part] - {part}:
            reach(other, seen | {part})

    for part in ("registry", "engine", "layers"):
        reach(part, frozenset())


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_follow_the_arrows(path):
    part = part_of(path)
    allowed = MAY_IMPORT[part] | {part}
    strays = {
        name
        for name in own_imports(path)
        if [*name.split("."), "__init__"][1] not in allowed
        and name not in EXCEPTIONS.get(part, set())
    }
    assert strays == set(), f"{part} may import {sorted(allowed)}"


def test_nothing_imports_the_testing_kit():
    users = [p for p in FILES if part_of(p) != "testing" and any(
        name.startswith("cnnkit.testing") for name in own_imports(p))]  # fmt: skip
    assert users == [ROOT / "commands" / "check.py"]  # for layers of a file on the command line


def test_only_a_familys_own_module_sees_the_hooks():
    """A component knows its base class; being registered is the business of `__init__.py`."""
    users = [p for p in FILES if part_of(p) in FAMILIES
             and p.name != "__init__.py" and p.parent != ROOT]  # fmt: skip
    assert [p for p in users if "cnnkit.hookspecs" in own_imports(p)] == []


def test_every_exception_is_in_use():
    for part, names in EXCEPTIONS.items():
        used = set().union(*(own_imports(p) for p in FILES if part_of(p) == part))
        assert names <= used, part


def test_kernels_import_numpy_only():
    foreign = {
        name.split(".")[0]
        for path in FILES
        if part_of(path) in ("kernels", "arrays")
        for name in imports(TREES[path])
    }
    assert foreign - set(sys.stdlib_module_names) <= {"numpy", "cnnkit"}


def test_only_the_cli_knows_the_cli_library():
    users = {
        part_of(path)
        for path in FILES
        if any(name.split(".")[0] == "cyclopts" for name in runtime_imports(TREES[path]))
    }
    assert users <= {"cli"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_asserts_and_no_code_from_data(path):
    for node in ast.walk(TREES[path]):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: raise an error instead"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED_CALLS, where
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: a bare except swallows Ctrl-C"
    modules = {name.split(".")[0] for name in imports(TREES[path])}
    assert modules & BANNED_MODULES == set()


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_global_randomness(path):
    """The kit alone may touch np.random's state: it catches layers that do, and puts it back."""
    if part_of(path) == "testing":
        return
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("np.random"):
            assert node.attr in SAFE_RANDOM, f"{path.name}:{node.lineno}: np.random.{node.attr}"
    names = imports(TREES[path])
    assert [n for n in names if n.split(".")[0] == "random" or n.startswith("numpy.random")] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_pickles_stay_shut(path):
    """np.load opens pickles unless told not to; the flag may never be True."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            flags = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert flags.get("allow_pickle") == "False", f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_stay_short(path):
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= MAX_FILE


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_functions_stay_short(path):
    too_long = {f.name: lines(f) for f in functions(TREES[path]) if lines(f) > MAX_FUNCTION}
    assert too_long == {}


READING = {
    "errors", "arrays", "base", "kernels", "layers", "losses", "optimizers", "schedules",
    "initializers", "metrics", "transforms", "observers", "callbacks", "backends",
    "folding", "prediction", "plan", "examined", "model", "workers", "engine",
}  # fmt: skip
"""What somebody must read to understand training."""
BUDGETS = {"package": 30_110, "reading list": 10_660, "testing": 3_990}
"""Most lines: raising one is a commit of its own that says what the lines bought."""


def test_size_budget():
    """Print lines per part, and hold three sums against their budgets: growth is a decision."""
    sizes: Counter[str] = Counter()
    for path in FILES:
        sizes[part_of(path)] += len(path.read_text(encoding="utf-8").splitlines())
    sums = {
        "package": sum(n for part, n in sizes.items() if part not in ("testing", "scaffold")),
        "reading list": sum(sizes[part] for part in READING),
        "testing": sizes["testing"],
    }
    print("\nlines of cnnkit, by part")
    for part, count in sizes.most_common():
        print(f"{count:7,} {part}")
    for name, count in sums.items():
        print(f"{count:7,} {name} (at most {BUDGETS[name]:,})")
    assert sizes.keys() <= MAY_IMPORT.keys()
    assert {name: n for name, n in sums.items() if n > BUDGETS[name]} == {}
