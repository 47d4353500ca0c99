"""The kinds of mistakes that the corpus must show, and the specs that show each."""

from __future__ import annotations

KINDS: dict[str, tuple[str, str]] = {
    "TOML: brackets and quotes": (
        "not closed|comma is missing|not know",
        "toml-brace-open toml-bracket-open toml-header-open toml-string-open toml-comma-missing "
        "toml-smart-quotes "
        "toml-comma-missing-in-table",
    ),
    "TOML: keys and values": (
        "value|expected",
        "toml-value-missing toml-equals-missing toml-colon toml-string-bare toml-bool-capital "
        "toml-none toml-leading-zero toml-comma-decimal toml-two-on-a-line",
    ),
    "TOML: characters": (
        r"U\+|UTF-8",
        "toml-control toml-nul toml-carriage-return toml-not-utf8 toml-bidi-in-comment "
        "toml-bidi-in-string",
    ),
    "TOML: a { without its }": (
        r"`\{` is not closed before line",
        "toml-brace-open toml-brace-open-before-a-word toml-brace-open-before-a-word-2 "
        "toml-brace-open-before-a-bracket toml-brace-open-before-a-bracket-2",
    ),
    "TOML: characters that cannot be seen": (
        r"cannot be seen \(U\+[\dA-F]{4}\)",
        "toml-blank-no-break toml-zero-width toml-line-separator toml-bom-in-the-middle",
    ),
    "TOML: too much of it": ("more than|too deeply", "toml-number-huge toml-nested-deep"),
    "byte order mark": ("byte order mark", "toml-bom"),
    "duplicate keys": (
        "is given twice",
        "toml-key-twice toml-key-twice-inline toml-table-twice toml-table-after-value",
    ),
    "wrong sections": (
        'section or option "',
        "section-misspelt section-synonym section-unknown section-layers-outside "
        "section-option-outside",
    ),
    "options of the spec below a section": (
        r"belongs at the top, above the first \[section\]",
        "section-metrics-at-the-end section-observers-at-the-end section-seed-at-the-end "
        "section-name-at-the-end section-loss-at-the-end section-loss-at-the-end-misspelt",
    ),
    "sections that are no tables": (
        "must be a table",
        "section-a-number section-a-string section-an-array",
    ),
    "sections left out": ("the spec has no", "section-missing section-name-missing toml-empty"),
    "true for 1": (
        "got true",
        "kind-true-for-1 kind-true-for-float kind-side-true kind-side-true-of-two",
    ),
    "one of two sides": (
        r"\Aerror: layer 1 \(conv\): kernel must be [^\n]+\n(?!(?s:.*)error)",
        "kind-side-zero kind-side-half kind-side-true-of-two",
    ),
    '"3" for 3': (
        "write 3|write 0.1",
        "kind-string-for-number kind-string-for-float kind-string-for-sides kind-side-a-string",
    ),
    "other wrong types": (
        "must be",
        "kind-float-for-whole kind-float-in-layer kind-array-for-number kind-table-for-number "
        "kind-date-for-number kind-number-for-string kind-number-for-bool kind-string-for-bool",
    ),
    "wrong numbers of elements": (
        "height, width|array of 2",
        "kind-one-side kind-three-sides kind-two-numbers",
    ),
    "range: negative": (
        "got -",
        "range-negative-decay range-negative-padding range-negative-side range-negative-size "
        "range-only-negative range-seed-negative",
    ),
    "range: nan": ("got nan", "range-nan"),
    "range: inf": ("got inf", "range-inf range-float-overflow"),
    "range: 10**30": ("got 10{30}", "range-10-to-the-30"),
    "range: zero and one": (
        "must be [<>]",
        "range-zero-filters range-memory range-rate-one range-momentum range-rate-percent",
    ),
    "words of an enumeration": (
        'must be "',
        "word-bias word-dtype word-kind-of-pool word-shuffle word-shuffle-bool",
    ),
    "unknown option: of the spec": ('unknown section or option "sead"', "option-top"),
    "unknown option: of a section": (
        "unknown option",
        "option-train option-optimizer option-loss option-learning-rate option-plugins",
    ),
    "unknown option: of a part of a section": (
        "schedule: unknown option|transform 1|metric 1|fallback: ",
        "option-schedule option-dotted option-transform option-metric option-fallback",
    ),
    "unknown option: of a layer": (
        r"layer \d \(\w+\): unknown option",
        "option-layer option-layer-keras option-layer-nothing-like option-of-shorthand-only",
    ),
    "unknown option: of a part of a layer": ("init: unknown option", "option-initializer"),
    "unknown option: one container deep": (
        "(residual|parallel).* > .*unknown option",
        "option-in-shortcut layer-tables-in-tables option-in-branch",
    ),
    "unknown option: two containers deep": (
        "> .* > .*unknown option",
        "option-two-containers-deep",
    ),
    "names of layers": (
        r"is that of layer 1, too|a letter first|\(conv stem\)",
        "layer-same-name layer-name set-layer-name",
    ),
    "a branch that is no array": ("branch 1 must be an array", "layer-branch-a-table"),
    "options left out": (
        "(is|are) missing",
        "option-missing option-missing-dataset option-missing-optimizer option-missing-shorthand "
        "option-missing-two-containers-deep",
    ),
    "unknown types": (
        "unknown .* type",
        "type-backend type-dataset type-fallback type-initializer type-layer type-loss type-metric "
        "type-optimizer type-schedule type-shorthand type-transform type-two-containers-deep",
    ),
    "types of other libraries": ("did you mean", "type-keras type-keras-more type-torch"),
    "habits from elsewhere": (
        r'write "(none|tied|relu)"|kind = "mean"|mean "(pool|cosine)"|type "binary_cross_entropy"',
        "option-activation word-bias-false word-bias-true type-avgpool type-avg-pool "
        "type-averagepool type-maxpool type-cos loss-sigmoid",
    ),
    "colons in types": (
        'is written "distribution:type"',
        "type-two-colons type-colon-before type-colon-after",
    ),
    "no other number is meant": (r"got \"float16\"\n(?!(?s:.*)did you mean)", "word-dtype-float16"),
    "collapsed shapes": ("does not fit the 1x1 map", "shape-collapsed"),
    "images where there are none": (
        "needs images",
        "shape-conv-after-dense shape-pool-after-flatten shape-input-flat",
    ),
    "kernel larger than the map": (
        "does not fit",
        "shape-kernel-too-large shape-kernel-too-tall shape-dilation shape-pool-too-large "
        "shape-two-containers-deep shape-in-branch",
    ),
    "a transform that cannot take its images": ("transform 2", "shape-transform"),
    "branches that cannot be joined": ("cannot join its branches", "shape-branches-differ"),
    "windows of padding": ("nothing but padding", "shape-pool-padding"),
    "groups that do not divide": ("groups", "shape-groups-channels shape-groups-filters"),
    "residual bodies that change shape": (
        "cannot add its body's output",
        "shape-residual-body shape-residual-shortcut",
    ),
    "loss and head that do not fit": (
        "does not give probabilities|gives",
        "loss-no-probabilities loss-head-an-image loss-binary-of-ten loss-binary-with-softmax",
    ),
    "class count against the data": (
        "with 10 classes|with 2 classes|does not have",
        "loss-classes loss-classes-only loss-softmax-without-units loss-only-beyond-classes",
    ),
    "missing plugin": (
        "not installed",
        "plugin-missing plugin-missing-qualified plugin-missing-backend plugin-require-missing",
    ),
    "memory beyond the limit": (
        "the limit is",
        "memory-batch memory-limit-of-the-spec memory-units",
    ),
    "--set: paths": (
        "did you mean|expected",
        "set-unknown-section set-unknown-option set-layer-option set-index-beyond set-index-a-word "
        "set-no-equals set-no-key",
    ),
    "--set: through what holds no options": (
        r"cannot set .* holds no options\n *--> --set",
        "set-into-the-name set-into-a-type set-into-a-word set-through-a-number",
    ),
    "--set: another type for what the file says": (
        "the type comes from --set",
        "set-type-without-the-file-s-options",
    ),
    "--set: an element of no array": (
        r"\Aerror: metrics must be an array(?!(?s:.*)error)",
        "set-first-of-none",
    ),
    "--set: numbers, depth": (
        r'"0"|parts, more than',
        "set-number-for-an-option set-number-for-a-section set-too-deep",
    ),
    "--set: a type whose options are not there": (
        r'\[optimizer\].*: the option "\w+" is missing\n *--> --set',
        "set-type-that-lacks-an-option set-type-in-the-file set-section-to-a-type",
    ),
    "--set: values": ("--set", "set-bad-value set-out-of-range set-type set-shape"),
    "spec language: variables": (
        "variable|from|used nowhere",
        "expand-variable-misspelt expand-variable-of-none expand-variable-plus "
        "expand-variable-in-a-word expand-variable-no-number expand-variable-by-zero "
        "expand-variable-wrong-type expand-variable-before-it-is-set expand-variable-name "
        "expand-variable-unused",
    ),
    "spec language: both places": (
        r"-->(?s:.*)= note: block \"\w+\", repeated at [\w/-]+\.toml:\d+:\d+\n",
        "expand-inside-option expand-inside-type expand-inside-value expand-inside-shape "
        "expand-inside-branch expand-inside-variable expand-inside-two-blocks expand-inside-loss "
        "expand-block-empty expand-block-in-itself expand-include-value",
    ),
    "spec language: blocks and repeats": (
        "block|repeat",
        "expand-block-misspelt expand-block-missing expand-block-of-none expand-block-unused "
        "expand-block-without-layers expand-block-option expand-block-name expand-repeat-option "
        "expand-repeat-with-a-number expand-repeat-with-misspelt expand-inside-name "
        "expand-block-for-a-type",
    ),
    "spec language: too much of it": (
        "from 1 to 1,000|more than 20,000 values",
        "expand-repeat-a-billion-times expand-repeat-a-bomb expand-variable-a-bomb "
        "expand-repeat-no-times expand-repeat-half-a-time",
    ),
    "spec language: defaults of a type": (
        "default|paddng|pool|cnov",
        "expand-default-type expand-default-unused expand-default-option expand-default-value "
        "expand-default-shape expand-default-no-table expand-default-of-the-type "
        "expand-default-variable",
    ),
    "spec language: includes": (
        "include|base|wrong",
        "expand-include-missing expand-include-number expand-include-folder expand-include-cycle "
        "expand-include-syntax expand-include-format expand-include-variable expand-include-both "
        "expand-include-value expand-include-type",
    ),
    "spec language: formats": (
        r"format must be 1|needs format = 1|did you mean \"(format|vars|defaults)\"",
        "expand-format-2 expand-format-true expand-format-word expand-format-missing "
        "expand-format-missing-repeat expand-format-misspelt expand-format-var "
        "expand-format-default",
    ),
    "spec language: --set": (
        "--set|-->",
        "expand-variable-set expand-variable-set-misspelt expand-copy-set expand-copy-set-beyond "
        "expand-copy-set-type expand-copy-set-and-another expand-copy-set-beside "
        "expand-copy-set-number-beyond expand-copy-set-no-layer expand-set-include",
    ),
    "several at once": (
        r"(?s)error:.*error:",
        "several-everywhere several-four several-in-one-layer several-twenty-five set-and-file "
        "set-unreadable-and-file expand-several",
    ),
    "alike but for their places": ("and in 24 more places: lines 9, 10", "several-alike"),
    "more than are printed": ("and 5 more problems", "several-twenty-five"),
}
"""What the golden text of each says, as a pattern, and the names of the specs."""
