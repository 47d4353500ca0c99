"""The observer against the kit, the bytes against published ones, the file against TensorBoard."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from cnnkit_tensorboard import Tensorboard
from cnnkit_tensorboard.events import scalars, version
from cnnkit_tensorboard.records import crc32c, framed

import cnnkit
from cnnkit.base import Epoch, RunInfo
from cnnkit.testing import check_observer

SPEC = Path(__file__).parent.parent / "specs" / "tensorboard.toml"


def test_the_kit():
    check_observer(Tensorboard())


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_of_rfc_3720(data, crc):
    assert crc32c(data) == crc


def test_a_file_begins_as_tensorboards_own_do():
    """The first record of a file by TensorFlow's writer, its time set to 0."""
    assert version(0.0) == b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2"
    assert framed(version(0.0))[:12] == b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22"


def test_scalars_by_hand():
    event = scalars(1.0, 300, {"a": 0.5})
    assert event == (
        b"\x09\0\0\0\0\0\0\xf0\x3f"  # field 1, double: 1.0
        b"\x10\xac\x02"  # field 2, varint: 300 = 2 * 128 + 44
        b"\x2a\x0a"  # field 5, ten bytes
        b"\x0a\x08"  # field 1, eight bytes
        b"\x0a\x01a"  # field 1, one byte: "a"
        b"\x15\0\0\0\x3f"  # field 2, float: 0.5
    )


def test_a_record_in_one_write_of_known_size(tmp_path):
    run = RunInfo("x", tmp_path, "digits", ("a", "b"), samples=10, epochs=1)
    Tensorboard().epoch(run, Epoch(1, 0.5, None, 1.0, 10.0, 0.1))
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert len(data) == 8 + 4 + length + 4
    assert [tag in data for tag in (b"train/loss", b"train/lr", b"validation")] == [1, 1, 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return cnnkit.train(cnnkit.load_spec(SPEC, set=["train.epochs=3"]), out=folder / "run")


def test_tensorboard_reads_what_was_measured(run):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(run.path))
    found.Reload()
    epochs = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    wanted = {
        "train/loss": [e["train_loss"] for e in epochs],
        "train/lr": [e["lr"] for e in epochs],
        "train/samples_per_second": [e["samples_per_second"] for e in epochs],
        "validation/loss": [e["validation"]["loss"] for e in epochs],
        "validation/accuracy": [e["validation"]["accuracy"] for e in epochs],
        "validation/macro_f1": [e["validation"]["macro_f1"] for e in epochs],
        **{f"test/{n}": [run.summary["test"][n]] for n in ("loss", "accuracy", "macro_f1")},
    }
    assert sorted(found.Tags()["scalars"]) == sorted(wanted)
    assert found.file_version == 2
    for tag, values in wanted.items():
        events = found.Scalars(tag)
        assert [event.value for event in events] == [float(np.float32(v)) for v in values], tag
        assert [event.step for event in events] == ([3] if tag[:4] == "test" else [1, 2, 3])
        times = [event.wall_time for event in events]
        assert times == sorted(times)
        assert found.FirstEventTimestamp() <= times[0]


def test_tensorboard_finds_runs_in_their_folders(run):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_multiplexer")
    runs = reader.EventMultiplexer().AddRunsFromDirectory(str(run.path.parent)).Reload().Runs()
    assert list(runs) == ["run"]


def test_every_record_passes_tensorboards_checksums(run):
    reader = pytest.importorskip("tensorboard.compat.tensorflow_stub.pywrap_tensorflow")
    (file,) = run.path.glob("*tfevents*")
    records = reader.PyRecordReader_New(str(file))
    for _ in range(1 + 3 + 1):
        records.GetNext()
    with pytest.raises(Exception, match="No more events to read"):
        records.GetNext()
