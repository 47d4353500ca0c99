"""K4: every help of the corpus of broken specs is followed, to a spec that trains.

A row: a spec of the corpus, a part of the help that `check` gives, and what was done: parts of its
text, or of its `--set` arguments, replaced in order. The outcome is the same for all: the check
passes, and one epoch runs. What no edit can follow stands in `NOT_FOLLOWED`, with the reason.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from inputs import TEST, X, Y

FOLDER = Path(__file__).parents[1] / "diagnostics"
sys.path.insert(0, str(FOLDER))

from corpus import SPECS, alone, arguments, check  # noqa: E402

from cnnkit.cli import main  # noqa: E402

pytestmark = pytest.mark.reliability
NOT_FOLLOWED = {
    "pip install": "asks for another installation",
    "cnnkit (version) offers": "says what there is",
    "no option lies that deep": "the option meant is not known",
    "`cnnkit init NAME` writes a whole spec": "tests/commands/test_init.py runs what it writes",
    "nest fewer of them": "what is nested means nothing",
    "write it at the top of the file": "there is no such format, and no such file",
}

ADVICE: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("rule-best", "name a metric of the spec", [("acuracy", "accuracy")]),
    ("rule-swa-start", "let it begin earlier", [("start = 4", "start = 1")]),
    ("rule-scaled-twice", "leave out one of the transforms", [('"flip", "scale"', '"flip"')]),
    ("rule-scaled-twice", "or where both are meant, give scale the range", [
        ('"flip", "scale"', '"flip", { type = "scale", range = [-1, 1] }')]),
    ("shape-transform", "cut less, or use more padding", [("size = 12", "size = 10")]),
    ("shape-branches-differ", "keep the shape", [
        ("filters = 8, kernel = 3", 'filters = 1, kernel = 3, padding = "same"')]),
    ("shape-pool-padding", "use less padding, or a larger size", [("padding = 2", "padding = 1")]),
    ("kind-input", "write it as [C, H, W]", [("input = 8", "input = [1, 8, 8]")]),
    ("kind-metrics", "write it in brackets", [('= "accuracy"', '= ["accuracy"]')]),
    ("expand-copy-set-number-beyond", "a number counts what the file has", [
        ("layers.3.units=4", "layers.1.units=10")]),
    ("expand-copy-set-number-beyond", "a copy goes by its name, such as unit_1", [
        ("layers.3.units=4", "layers.unit_1.layers.0.filters=4")]),
    ("layer-a-number", 'or "relu"', [("  7,", '  "relu",')]),
    ("layer-tables-in-tables", "conv takes filters, kernel", [("paddin ", "padding ")]),
    ("layer-type-empty", "installed layers", [('type = ""', 'type = "pool"')]),
    ("layer-without-type", 'add type = "..."', [("{ size", '{ type = "pool", size')]),
    ("loss-binary-of-ten", "end the network with 10 outputs", [
        ('"sigmoid", units = 1 ', '"sigmoid", units = 10 '),
        ('type = "sigmoid"', 'type = "softmax"'), ('"binary_cross_entropy"', '"cross_entropy"')]),
    ("loss-binary-with-softmax", 'end the network with { type = "sigmoid", units = 1 }', [
        ('{ type = "softmax", units = 1 }', '{ type = "sigmoid", units = 1 }')]),
    ("loss-classes-only", "end the network with 2 outputs", [("units = 10", "units = 2")]),
    ("loss-no-probabilities", 'end the network with "softmax"', [
        ('{ type = "dense", units = 10 },', '{ type = "dense", units = 10 }, "softmax",')]),
    ("loss-no-probabilities", 'or use loss type "mean_squared_error"', [
        ('"cross_entropy"', '"mean_squared_error"')]),
    ("loss-sigmoid", 'end the network with { type = "softmax", units = 10 }', [
        ('"sigmoid"', '"softmax"')]),
    ("memory-batch", "a smaller kernel or batch", [("100000000", "32")]),
    ("memory-units", "use fewer units", [("2000000000", "20")]),
    ("memory-limit-of-the-spec", "raise [train] memory", [("0.0001", "1")]),
    ("option-after-tabs", "sgd takes lr, schedule, clip", [("momentun", "momentum")]),
    ("option-case", "[train] takes epochs", [("Epochs", "epochs")]),
    ("option-dotted", "cosine takes warmup", [("warmpu", "warmup")]),
    ("option-fallback", "digits takes validation", [("valdation", "validation")]),
    ("option-initializer", "uniform takes low, high", [("hihg", "high")]),
    ("option-loss", "cross_entropy takes label_smoothing", [("label_smooth ", "label_smoothing ")]),
    ("option-metric", "accuracy takes no options", [(", top = 5", "")]),
    ("option-missing-optimizer", "add lr = ...", [("[optimizer]", "[optimizer]\nlr = 0.1")]),
    ("option-missing-shorthand", "add filters = ..., kernel = ...", [
        ('  "conv"', '  { type = "conv", filters = 8, kernel = 3 }')]),
    ("option-missing-two-containers-deep", "add kernel = ...", [
        ('filters = 8, padding', 'kernel = 3, filters = 8, padding')]),
    ("option-missing", "add units = ...", [
        ('{ type = "dense" },', '{ type = "dense", units = 10 }, "softmax",')]),
    ("option-of-shorthand-only", "relu takes no options", [(", slope = 0.1", "")]),
    ("option-top", "a spec takes name, seed", [("sead", "seed")]),
    ("option-transform", "scale takes low, high", [("lo =", "low =")]),
    ("section-a-number", "write [train] on a line of its own", [
        ("train = 3\n", ""), ("[data]", "[train]\nepochs = 3\n[data]")]),
    ("section-name-missing", 'add name = "..."', [("[data]", 'name = "n"\n[data]')]),
    ("section-missing", "add [optimizer]", [
        ("[model]", '[optimizer]\ntype = "sgd"\nlr = 0.1\n[model]')]),
    ("shape-collapsed", 'use padding = "same"', [
        ("kernel = 3 },", 'kernel = 3, padding = "same" },')]),
    ("shape-dilation", "smaller kernel or dilation", [("dilation = 4", "dilation = 2")]),
    ("shape-groups-channels", "choose groups that divide", [("groups = 2", "groups = 1")]),
    ("shape-input-clash", "leave input out", [("input = [3, 8, 8]\n", "")]),
    ("shape-pool-too-large", "use a smaller size", [("size = 3", "size = 1")]),
    ("toml-bidi-in-comment", "take it out", [("\u202e", "")]),
    ("toml-blank-no-break", "a blank is a plain space", [("\u00a0", " ")]),
    ("toml-bom", "save it as UTF-8, no BOM", [("\ufeff", "")]),
    ("toml-bool-capital", "true and false in lower case", [("True", "true"), (
        "nesterov", "momentum = 0.9\nnesterov")]),
    ("toml-carriage-return", "end lines with LF or CRLF", [("\r", "\n")]),
    ("toml-colon", "write key = value", [("lr: ", "lr = ")]),
    ("toml-comma-decimal", "write 0.5, not 0,5", [("0,1", "0.1")]),
    ("toml-comma-missing-in-table", "put , between two elements", [
        ('"pool" size', '"pool", size')]),
    ("toml-comment-slashes", "comments start with #", [("//", "#")]),
    ("toml-equals-missing", "write key = value", [("lr 0.1", "lr = 0.1")]),
    ("toml-header-open", "write [name]", [("[optimizer", "[optimizer]")]),
    ("toml-key-twice-inline", "keep one of the two", [(", kernel = 5", "")]),
    ("toml-leading-zero", "without zeros in front", [("03", "3")]),
    ("toml-line-separator", "end the line as the others end", [("\u2028", "\n")]),
    ("toml-nul", "save the file as UTF-8 text", [("\0", "")]),
    ("toml-smart-quotes", 'write "text"', [("\u201c", '"'), ("\u201d", '"')]),
    ("toml-string-bare", "go without quotes", [("= sgd", '= "sgd"')]),
    ("toml-two-on-a-line", "a line of its own", [('"sgd" lr', '"sgd"\nlr')]),
    ("toml-value-missing", "write one", [("lr =", "lr = 0.1")]),
    ("toml-none", "or give it a value where it has none", [("None", "0.1")]),

    ("toml-string-open", '"""', [('"digits', '"digits"')]),
    ("toml-brace-open-before-a-bracket-2", "close it", [("units = 10,", "units = 10 },")]),
    ("type-colon-after", "of one distribution", [('"relu:"', '"cnnkit:relu"')]),
    ("loss-only-twice", "name each class once", [("[3, 3]", "[3, 5]")]),
    ("shape-residual-body", "as many filters as channels", [
        ("filters = 8", "filters = 1")]),
    ("shape-residual-body", "or give a shortcut that changes it alike, such as a 1x1 conv", [
        ("    ] },", '    ], shortcut = [{ type = "conv", filters = 8, kernel = 1 }] },')]),
    ("shape-conv-after-dense", "put it before any flatten or dense layer", [
        ('  { type = "conv", filters = 8, kernel = 3 },\n', ""),
        ("layers = [", 'layers = [{ type = "conv", filters = 8, kernel = 3 },')]),
    ("layer-list-missing", "add layers = ...", [
        ("[model]", '[model]\nlayers = ["flatten", { type = "softmax", units = 10 }]')]),
    ("type-backend", "installed backends", [("nunpy", "numpy")]),
    ("type-cos", "installed schedules", [('"cos"', '"cosine"')]),
    ("type-initializer", "installed initializers", [('"xavier"', '"glorot"')]),
    ("type-loss", "installed losses", [('"crossentropy"', '"cross_entropy"')]),
    ("type-of-another-family", "installed layers", [('"sgd",', '"relu",')]),
    ("type-optimizer-unknown", "installed optimizers", [('"lion"', '"adam"')]),
    ("type-transform", "installed transforms", [('"scael"', '"scale"')]),
    ("type-missing-in-data", 'add type = "..."', [("[data]", '[data]\ntype = "digits"')]),
    ("layer-tables", "softmax takes units", [("unit =", "units ="), ("kernel = 0", "kernel = 3")]),
    ("option-after-wide-characters", "pool takes kind, size, stride", [
        ('"種類" = "池", ', ""), ("sise", "size")]),
    ("option-header", "add every = ...", [
        ("schedul]", "schedule]"), ('"step"', '"step"\nevery = 1')]),
    ("option-missing-dataset", "add path = ...", [('"npz"', '"npz"\npath = "d.npz"')]),
    ("option-plugins", "[plugins] takes require", [
        ('requires = ["cnnkit-prelu"]', "require = []")]),
    ("set-no-equals", "write --set train.epochs=5", [("train.epochs", "train.epochs=5")]),
    ("set-number-for-an-option", "[model] takes layers", [
        ("model.0.x=1", "model.layers.0.stride=1")]),
    ("set-type-without-the-file-s-options", "adam takes lr, schedule", [("momentum = 0.9\n", "")]),
    ("type-dataset", "installed datasets", [("fashion-mnist", "digits")]),
    ("type-metric", "installed metrics", [("acuracy", "accuracy"), ('"f1"', '"macro_f1"')]),
    ("toml-bracket-open", "a table inside an array", [("units = 10 },\n", "units = 10 },\n]\n")]),
    ("toml-escape", "or the string in '...'", [
        ('"C:\\data"', "'C:\\data'"), ('"idx"\ntrain_images', '"npz"\npath')]),
    ("toml-not-utf8", "save the file as UTF-8", []),
    ("toml-number-huge", "write a smaller number", [("9" * 5000, "9")]),
    ("layer-same-name", "names in a chain must differ", [
        ('[\n  { type = "conv", name = "stem"', '[\n  { type = "conv", name = "root"')]),
    ("expand-block-option", "a block takes layers", [
        ("times = 3\n", ""), ('"repeat"', '"repeat", times = 3')]),
    ("expand-include-missing", "the folder of the file", [
        ("bse.toml", "base.toml"), ("format = 1", "format = 1\nvars = { width = 8 }")]),
    ("expand-format-missing-repeat", "begins with format = 1", [("name", "format = 1\nname")]),
    ("expand-format-2", "this cnnkit reads format 1", [("format = 2", "format = 1")]),
    ("expand-variable-before-it-is-set", "those that are set above it", [
        ("width = 8\n", ""), ("[vars]", "[vars]\nwidth = 8")]),
    ("expand-block-missing", 'add block = "..."', [("times = 2", 'times = 2, block = "unit"')]),
    ("expand-block-of-none", "blocks: none", [('  { type = "repeat", block = "unit" },\n', "")]),
    ("expand-block-misspelt", "blocks: unit", [("unti", "unit")]),
    ("expand-block-name", "at most 30 letters, digits and underscores", [("1st", "first")]),
    ("expand-block-without-layers", "write layers = [...] below its name", [
        ("layer =", "layers =")]),
    ("expand-block-for-a-type", 'write { type = "repeat", block = "unit" }', [
        ('{ type = "unit", times = 2 }', '{ type = "repeat", block = "unit" }')]),
    ("expand-after-a-repeat", "dense takes units, bias, init, bias_init", [("unit =", "units =")]),
    ("expand-repeat-a-bomb", "repeat fewer of them", [("times = 1000", "times = 2")]),
    ("expand-repeat-option", "repeat takes times, block and with", [("tmes", "times")]),
    ("expand-repeat-with-a-number", "such as { width = 32 }", [
        ("with = 16", "with = { width = 16 }")]),
    ("expand-include-number", 'such as include = "base.toml"', [
        ("include = 7", 'include = "included/base.toml"\nvars = { width = 8 }')]),
    ("expand-variable-of-none", "variables here: none", [('"${units}"', "8")]),
    ("expand-variable-misspelt", "variables here: width", [("widht", "width")]),
    ("expand-variable-plus", 'write "${name}", "${name * 2}" or', [("width + 1", "width * 2")]),
]  # fmt: skip


def mended(name: str, edits: list[tuple[str, str]], folder: Path) -> tuple[Path, list[str]]:
    """Write the spec with the edits made, and the data it may name; return it and its arguments."""
    spec, said = folder / "mended.toml", "\n".join(arguments(FOLDER / f"{name}.toml"))
    raw = (FOLDER / f"{name}.toml").read_bytes()
    text = raw.decode("latin-1" if name == "toml-not-utf8" else "utf-8")
    for old, new in edits:
        assert old in text or old in said
        text, said = text.replace(old, new), said.replace(old, new)
    spec.write_bytes(text.encode())
    copytree(FOLDER / "included", folder / "included", dirs_exist_ok=True)
    for file in ("d.npz", "C:\\data"):
        with (folder / file).open("wb") as stream:
            np.savez(stream, x_train=X[~TEST], y_train=Y[~TEST], x_test=X[TEST], y_test=Y[TEST])
    return spec, said.splitlines()


def test_followed_advice_leads_to_a_run(cases, tmp_path, capsys):
    for name, advice, edits in cases.of(ADVICE, quick=25):
        found = check(FOLDER / f"{name}.toml")
        helps = "\n".join(line for line in found.text.splitlines() if " = help: " in line)

        def follow(name=name, edits=edits):
            spec, more = mended(name, edits, tmp_path)
            once = ["--quiet", *more, *["--set", "train.epochs=1"] * ("train.epochs=5" not in more)]
            out = str(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
            with alone():
                return (
                    main(["check", str(spec), *more])
                    == 0
                    == main(["run", str(spec), *once, "--out", out])
                )

        cases.judge(found.code, helps, re.escape(advice), follow)
        capsys.readouterr()


def test_every_help_of_the_corpus_has_a_row_or_a_reason():
    parts = [advice for _, advice, _ in ADVICE] + list(NOT_FOLLOWED)
    helps = {
        line.partition(" = help: ")[2]
        for spec in SPECS
        for line in spec.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        if " = help: " in line
    }
    assert [one for one in sorted(helps) if not any(part in one for part in parts)] == []
    assert [part for part in parts if not any(part in one for one in helps)] == []
