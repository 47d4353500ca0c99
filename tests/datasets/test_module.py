"""The family as a plugin module."""

from __future__ import annotations

import subprocess
import sys

import pluggy

from cnnkit import datasets, hookspecs, transforms
from cnnkit.described import option_docs

CHEAP = """
import sys
import cnnkit.hookspecs
before = set(sys.modules)
opened = []
sys.addaudithook(
    lambda event, args: opened.append(str(args[0])) if event == "open" else None
)
import cnnkit.datasets, cnnkit.transforms
print([name for name in opened if not name.endswith((".py", ".pyc")) and "pycache" not in name])
heavy = ("requests", "PIL", "platformdirs", "rich", "tarfile", "urllib.request", "http")
print([name for name in set(sys.modules) - before if name.startswith(heavy)])
"""


def test_hooks_give_every_class_by_its_type():
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(datasets)
    manager.register(transforms)
    manager.check_pending()
    found = [cls for classes in manager.hook.cnnkit_datasets() for cls in classes]
    assert sorted(cls.__name__ for cls in found) == datasets.__all__
    assert {"digits", "fashion_mnist", "npz"} <= {cls.type_name() for cls in found}
    (scaling,) = manager.hook.cnnkit_transforms()
    assert [cls.type_name() for cls in scaling][:1] == ["scale"]


def test_every_option_is_documented():
    for cls in (*datasets.cnnkit_datasets(), *transforms.cnnkit_transforms()):
        assert all(option_docs(cls).values()), cls


def test_importing_is_cheap():
    ran = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n[]\n"
