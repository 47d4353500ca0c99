"""The verbs of the `cnnkit` command, each the function of that name in the module of that name."""

from __future__ import annotations

VERBS = {
    "init": "Write a commented spec to start from.",
    "run": "Train the network a spec describes.",
    "lr": "Find a learning rate, by a few steps at growing ones.",
    "resume": "Go on with a run that was interrupted or killed.",
    "runs": "List runs: how each stands, its figures, and what differs.",
    "verify": "Train a run once more, and compare its weights to the bit.",
    "check": "Check specs, without data or network.",
    "show": "Show a spec's layers: shapes, weights, MACs, memory.",
    "look": "See the data of a spec before any training.",
    "diff": "Compare two specs or runs: what differs, by key path.",
    "schema": "Write the JSON Schema by which editors complete and check specs.",
    "layers": "List the types that specs may name, or explain one.",
    "plugins": "List the installed plugins and what each one offers.",
    "doctor": "Say what works here, and how to mend what does not.",
    "evaluate": "Judge a run on its test images, class by class.",
    "report": "Show a run, or several side by side, on one page.",
    "why": "Say what stands out in how a run went, and what to try.",
    "trace": "Follow one image through a network, on a page.",
    "predict": "Name the classes of pictures or arrays.",
}
"""Verb and line of help, in the order of the help."""

SUBVERBS = {
    "plugins": {"new": "Write a whole plugin to start from: module, tests, spec, README, CI."},
}
"""Verbs under a verb: `cnnkit plugins new` is the function new in the module plugins_new, here."""

ABOUT = "A convolutional network is a TOML file, and NumPy trains it."
MORE = "Plugins may add verbs; `cnnkit plugins` lists them."
EVERY = "Every verb takes --plugin FILE: a Python file with a layer of your own, say."


def overview() -> str:
    """Return what `cnnkit --help` prints."""
    rows = {
        **VERBS,
        "--help, -h": "Display this message and exit.",
        "--version": "Display application version.",
    }
    lines = "\n".join(f"  {name:10}  {help_}" for name, help_ in rows.items())
    return f"Usage: cnnkit COMMAND\n\n{ABOUT}\n\nCommands:\n{lines}\n\n{MORE}\n{EVERY}\n"
