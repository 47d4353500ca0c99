from __future__ import annotations

import pytest
from cnnkit.errors import PluginError

from cnnkit_bench import request
from cnnkit_bench.errors import BenchError
from cnnkit_bench.request import Request


def parse(backend="numpy", against="", batch="1,32", large=1024, threads="", repeats=7, minutes=3,
          steps=None):  # fmt: skip
    return Request.parse(backend, against, batch, large, threads, repeats, minutes, steps)


def test_defaults(monkeypatch):
    monkeypatch.setattr(request, "physical_cores", lambda: 4)
    found = parse()
    assert found.peers[0] == "cnnkit"
    assert found.peers[-1] == "loops"
    assert found.threads == (4, 1)


def test_lists_lose_doubles_and_keep_the_order_of_the_tables():
    found = parse(against="loops, torch,loops", batch="32,1,32", threads="2,1,2")
    assert found.peers == ("cnnkit", "torch", "loops")
    assert found.batches == (32, 1)
    assert found.threads == (2, 1)


def test_sections_end_with_the_large_inference():
    assert parse().sections() == [
        ("training", 1),
        ("training", 32),
        ("inference", 1),
        ("inference", 32),
        ("inference", 1024),
    ]
    assert parse(large=32).sections()[-1] == ("inference", 32)
    assert parse(large=0).sections()[-1] == ("inference", 32)


KNOWN = (
    "   = known: torch, torch-compile, torch-channels-last, keras-tensorflow, keras-jax, "
    "onnxruntime, loops"
)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"against": "torch,onxruntime"},
            "error: --against: unknown peer 'onxruntime'\n"
            f"   = help: did you mean 'onnxruntime'?\n{KNOWN}",
        ),
        ({"against": "mxq"}, f"error: --against: unknown peer 'mxq'\n{KNOWN}"),
        (
            {"batch": "1,x"},
            "error: --batch '1,x' is not a list of sizes\n"
            "   = expected whole numbers from 1, separated by commas, such as --batch 1,32",
        ),
        (
            {"threads": "0"},
            "error: --threads '0' is not a list of sizes\n"
            "   = expected whole numbers from 1, separated by commas, such as --threads 1,32",
        ),
        ({"repeats": 0}, "error: --repeats 0 is too small\n   = expected 1 or more"),
        ({"steps": 0}, "error: --steps 0 is too small\n   = expected 1 or more"),
        ({"minutes": -1}, "error: --minutes -1 is too small\n   = expected 0 or more"),
        ({"large": -1}, "error: --large -1 is too small\n   = expected 0 or more"),
    ],
)
def test_errors_say_what_was_expected(options, text):
    with pytest.raises(BenchError) as caught:
        parse(**options)
    assert str(caught.value) == text
    assert caught.value.exit_code == 2


def test_backends_lose_doubles_and_must_be_there():
    assert parse(backend="numpy, numpy").backends == ("numpy",)
    with pytest.raises(PluginError, match='unknown backend type "nunpy"; did you mean "numpy"'):
        parse(backend="numpy,nunpy")
