"""Tensors on disk: what goes in comes out, and damage never passes for content."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.errors import RunError
from cnnkit.files.tensors import digest, load_tensors, save_tensors

TENSORS = {
    "z/W": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/b": np.array([1.5, -0.0, np.nan]),
    "umlaut ü": np.array(7, dtype=np.int64),
}
META = {"epoch": 3, "best": {"loss": 0.1}, "name": "größe 検", "none": None}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "x.safetensors", TENSORS, META)
    return tmp_path / "x.safetensors"


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return list(left) == list(right) and all(
        left[n].dtype == right[n].dtype
        and left[n].shape == right[n].shape
        and left[n].tobytes() == right[n].tobytes()
        for n in left
    )


def craft(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(RunError) as caught:
        load_tensors(path)
    return str(caught.value)


def test_round_trip_keeps_order_bits_and_facts(saved: Path) -> None:
    tensors, meta = load_tensors(saved)
    assert same(tensors, TENSORS)
    assert meta == META
    for array in tensors.values():
        assert array.flags.writeable
        assert array.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u8", "?"])
def test_every_dtype(tmp_path: Path, dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype)
    save_tensors(tmp_path / "x", {"x": array}, {})
    assert same(load_tensors(tmp_path / "x")[0], {"x": array})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(10, dtype=np.float32)[::-2],
        np.broadcast_to(np.float32(3), (2, 3)),
        np.arange(5, dtype=">f4"),
        np.arange(6, dtype=">i8").reshape(2, 3).T,
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(2.5, ">f8"),
    ],
    ids=["strided", "reversed", "broadcast", "big", "big-T", "fortran", "empty", "scalar"],
)
def test_layouts_that_safetensors_writes_wrongly(tmp_path: Path, array: Any) -> None:
    save_tensors(tmp_path / "x", {"x": array}, {})
    loaded = load_tensors(tmp_path / "x")[0]["x"]
    assert loaded.tolist() == array.tolist()
    assert loaded.shape == array.shape
    assert loaded.dtype == array.dtype.newbyteorder("<")
    assert digest({"x": loaded}) == digest({"x": array})


def test_digest_by_hand() -> None:
    expected = hashlib.sha256(
        b'["a", "<f4", [2]]\n\x00\x00\x80\x3f\x00\x00\x00\x40["b", "|i1", []]\n\x05'
    )
    tensors = {"b": np.array(5, np.int8), "a": np.array([1, 2], np.float32)}
    assert digest(tensors) == expected.hexdigest()


def test_digest_tells_names_dtypes_shapes_and_bits_apart() -> None:
    zeros = np.zeros(4, np.float32)
    others = [
        {"x": zeros},
        {"y": zeros},
        {"x": zeros.view(np.int32)},
        {"x": zeros.reshape(2, 2)},
        {"x": -zeros},
        {"x": zeros[:2], "y": zeros[2:]},
        {},
    ]
    assert len({digest(tensors) for tensors in others}) == len(others)


def test_arrays_that_cannot_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for name, array in {"o": np.array([{}]), "c": np.array([1j]), "s": np.array(["a"])}.items():
        with pytest.raises(RunError) as caught:
            save_tensors(path, {name: array}, {})
        assert str(caught.value) == f"cannot save tensor {name!r} of dtype {array.dtype} to {path}"
    with pytest.raises(RunError, match="cannot save tensor '__metadata__' of dtype float64"):
        save_tensors(path, {"__metadata__": np.ones(1)}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failing_save_keeps_the_older_checkpoint(saved: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(RunError, match=r"\(\d+ bytes\): No space left on device; free some"):
            save_tensors(saved, {"new": np.ones(3)}, {})
    tensors, meta = load_tensors(saved)
    assert same(tensors, TENSORS)
    assert meta == META
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_that_could_not_be_loaded_is_never_written(saved: Path, monkeypatch) -> None:
    # what safetensors 0.8 does with a strided array: it stores the buffer as it lies in memory
    wrong = safetensors.numpy.save({"x": np.array([2.0, 1.0])}, sealed('[["x"], {}]'))
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save", lambda *_: wrong)
        with pytest.raises(RunError, match="expected sha256"):
            save_tensors(saved, {"x": np.array([1.0, 2.0])}, {})
    assert same(load_tensors(saved)[0], TENSORS)


@pytest.mark.reliability
def test_flipped_bits_are_noticed(saved: Path) -> None:
    good = saved.read_bytes()
    for bit in range(0, len(good) * 8, 5):  # 5: every bit of a byte has its turn
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert f"cannot use {saved}: damaged, or not saved by cnnkit" in refusal(saved, bytes(bad))


@pytest.mark.reliability
def test_every_truncation_and_addition_is_noticed(saved: Path) -> None:
    good = saved.read_bytes()
    for size in range(len(good)):
        refusal(saved, good[:size])
    for extra in (b"\0", b" ", b"\n", good, bytes(1000)):
        refusal(saved, good + extra)


def test_swapped_tensors_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_tensors(path, {"a": np.array([1.0]), "b": np.array([2.0])}, {})
    data = path.read_bytes()
    swapped = data[:-16] + data[-8:] + data[-16:-8]
    real = refusal(path, swapped).split("found ")[1][:12]
    stated = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["sha256"]
    assert refusal(path, swapped) == (
        f"cannot use {path}: damaged, or not saved by cnnkit ({len(data)} bytes): "
        f"expected sha256 {stated[:12]}, found {real}; use another checkpoint"
    )


@pytest.mark.reliability
@settings(max_examples=300, deadline=None, database=None)
@given(st.data())
def test_no_bytes_raise_anything_else(tmp_path_factory, data) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    save_once = path.with_suffix(".good")
    if not save_once.exists():
        save_tensors(save_once, TENSORS, META)
    good = save_once.read_bytes()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, len(good)))
    path.write_bytes(good[:start] + data.draw(st.binary(max_size=40)) + good[stop:])
    try:
        tensors, meta = load_tensors(path)
    except RunError:
        return
    assert same(tensors, TENSORS)
    assert meta == META


@settings(max_examples=200, deadline=None, database=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    refusal(path, data)
    refusal(path, craft(data))


def sealed(text: str, tensors: dict[str, Any] | None = None) -> dict[str, str]:
    seal = hashlib.sha256(f"{digest(tensors or {})}\n{text}".encode()).hexdigest()
    return {"cnnkit_format": "1", "cnnkit_meta": text, "sha256": seal}


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HOSTILE = {
    "empty": b"",
    "header longer than the file": (2**40).to_bytes(8, "little") + b"{}",
    "header of 2**63": (2**63).to_bytes(8, "little") + b"{}",
    "no metadata": craft({}),
    "null metadata": craft({"__metadata__": None}),
    "list header": craft([]),
    "deep header": craft(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "deep field": craft(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":'
        + b"[" * 9000
        + b"]" * 9000
        + b"}}",
        bytes(4),
    ),
    "offsets beyond the file": craft({"a": {**ONE, "data_offsets": [0, 2**50], "shape": [2**48]}}),
    "offsets backwards": craft({"a": {**ONE, "data_offsets": [4, 0]}}, bytes(4)),
    "shape overflows": craft({"a": {**ONE, "shape": [2**62, 2**62]}}, bytes(4)),
    "negative shape": craft({"a": {**ONE, "shape": [-1]}}, bytes(4)),
    "many digits": craft(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b"]}}"),
    "unknown dtype": craft({"a": {**ONE, "dtype": "F33"}}, bytes(4)),
    "8-bit floats": craft({"a": {**ONE, "dtype": "F8_E4M3", "shape": [4]}}, bytes(4)),
    "16-bit brain floats": craft({"a": {**ONE, "dtype": "BF16", "shape": [2]}}, bytes(4)),
    "4-bit floats": craft({"a": {**ONE, "dtype": "F4", "shape": [8]}}, bytes(4)),
    "overlap": craft({"a": ONE, "b": ONE}, bytes(4)),
    "metadata that is no text": craft({"__metadata__": {"cnnkit_format": 1}}),
    "lone surrogate": craft(b'{"__metadata__":{"cnnkit_format":"1","cnnkit_meta":"\\ud800"}}'),
    "facts that are no JSON": craft({"__metadata__": sealed("hello")}),
    "facts that are a list": craft({"__metadata__": sealed("[[], []]")}),
    "facts too deep": craft({"__metadata__": sealed("[" * 100_000)}),
    "names that are not there": craft({"__metadata__": sealed('[["a"], {}]')}),
    "names twice": craft(
        {"__metadata__": sealed('[["a", "a"], {}]', {"a": np.zeros(1, "f4")}), "a": ONE}, bytes(4)
    ),
    "pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.",
    "zip": b"PK\x03\x04" + bytes(60),
    "html": b"<!DOCTYPE html><html>" + b" " * 500,
}


@pytest.mark.reliability
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, case: str) -> None:
    path, data = tmp_path / "x", HOSTILE[case]
    start = f"cannot use {path}: damaged, or not saved by cnnkit ({len(data)} bytes): "
    text = refusal(path, data)
    assert text.startswith(start)
    assert text.endswith("; use another checkpoint")
    assert len(text) < len(start) + 250


def test_what_is_expected_and_found(saved: Path) -> None:
    def reason(data: bytes) -> str:
        return refusal(saved, data).split("bytes): ")[1].removesuffix("; use another checkpoint")

    facts = sealed("[[], {}]")
    assert reason(craft({})) == "expected file format '1', found None"
    assert reason(craft({"__metadata__": {**facts, "cnnkit_format": "2"}})) == (
        "expected file format '1', found '2'"
    )
    del facts["sha256"]
    assert (
        reason(craft({"__metadata__": facts}))
        == "expected sha256 none, found " + sealed("[[], {}]")["sha256"][:12]
    )
    assert reason(craft({"__metadata__": sealed("[[], []]")})) == (
        "expected names and facts, found '[[], []]'"
    )


def test_a_dtype_numpy_does_not_have(saved: Path) -> None:
    data = HOSTILE["16-bit brain floats"]
    assert refusal(saved, data) == (
        f"cannot use {saved}: damaged, or not saved by cnnkit ({len(data)} bytes): "
        "NumPy has no dtype 'BF16'; use another checkpoint"
    )


def test_the_empty_file_of_cnnkit_loads(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(craft({"__metadata__": sealed("[[], {}]")}))
    assert load_tensors(tmp_path / "x") == ({}, {})
