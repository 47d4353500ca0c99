"""Every help of the corpus that can be followed by an edit is followed, to a spec that trains.

A row is a wrong spec of the corpus, a part of the help that `check` gives, and what was done: parts
of its text replaced, in order. Outcome, for all: the check passes and one epoch on digits runs.

Not followed here, since no edit of the spec does: `pip install ...` and "provided by", which ask
for another installation; "cnnkit offers ..."; "`cnnkit init NAME` writes a whole spec", which
tests/commands/test_init.py runs; "adds path", which asks for a file; and the helps about
`--set`, which tests/specfile holds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "diagnostics"
sys.path.insert(0, str(FOLDER))

from corpus import alone, check  # noqa: E402

from cnnkit.cli import main  # noqa: E402

ADVICE: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("kind-input", "write it as [C, H, W]", [("input = 8", "input = [1, 8, 8]")]),
    ("kind-metrics", "write it in brackets", [('= "accuracy"', '= ["accuracy"]')]),
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
    ("option-after-tabs", "sgd takes lr, schedule, momentum", [("momentun", "momentum")]),
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
    ("type-cos", "installed schedules", [('"cos"', '"cosine"')]),
    ("type-initializer", "installed initializers", [('"xavier"', '"glorot"')]),
    ("type-loss", "installed losses", [('"crossentropy"', '"cross_entropy"')]),
    ("type-of-another-family", "installed layers", [('"sgd",', '"relu",')]),
    ("type-optimizer-unknown", "installed optimizers", [('"lion"', '"adam"')]),
    ("type-transform", "installed transforms", [('"scael"', '"scale"')]),
    ("type-missing-in-data", 'add type = "..."', [("[data]", '[data]\ntype = "digits"')]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "advice", "edits"), ADVICE, ids=[f"{n}-{a}" for n, a, _ in ADVICE]
)
def test_followed_advice_leads_to_a_run(name, advice, edits, tmp_path, capsys):
    spec = FOLDER / f"{name}.toml"
    assert any(advice in line for line in check(spec).text.splitlines() if " = help: " in line)
    text = spec.read_bytes().decode("utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    mended = tmp_path / "mended.toml"
    mended.write_bytes(text.encode())
    out = str(tmp_path / "run")
    with alone():
        assert main(["check", str(mended)]) == 0, capsys.readouterr().err
        ran = main(["run", str(mended), "--quiet", "--set", "train.epochs=1", "--out", out])
    assert ran == 0, capsys.readouterr().err
