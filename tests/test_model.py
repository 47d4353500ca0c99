"""Model: built, summed up, predicting, saved and loaded; every refusal in full."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Context, Transform
from cnnkit.errors import DataError, RunError, ShapeError
from cnnkit.files.tensors import load_tensors, save_tensors
from cnnkit.layers import Conv, Dense, Dropout, Pool, Relu, Residual, Sequential, Softmax
from cnnkit.model import Model
from cnnkit.transforms import Scale
from cnnkit.workers import Threads

LAYERS = [
    Conv(filters=3, kernel=3, padding="same"),
    Relu(),
    Residual(body=[Conv(filters=4, kernel=1)], shortcut=[Conv(filters=4, kernel=1, bias="none")]),
    Pool(size=2),
    Dropout(rate=0.5),
    Sequential(layers=[Dense(units=6), Relu()], label="neck"),
    Softmax(units=5),
]
NAMES = ["0_conv", "1_relu", "2_residual", "3_pool", "4_dropout", "5_neck", "6_softmax"]


class Crop(Transform):
    """Cuts the outermost pixels off."""

    type: str = "crop"

    def output_shape(self, shape):
        return (shape[0], shape[1] - 2, shape[2] - 2)

    def apply(self, x, rng, scratch):
        return x[:, :, 1:-1, 1:-1]


def build(**options):
    settings = {"seed": 1, "transforms": [Scale()], "classes": "abcde"}
    return Model.build(LAYERS, (2, 6, 8), **{**settings, **options})


def images(count=150, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 6, 8), np.uint8)


# --- build --------------------------------------------------------------------------------------


def test_weights_fit_the_layers_and_are_named_by_them():
    model = build()
    assert {path: w.shape for path, w in flatten(model.weights).items()} == {
        "0_conv/W": (3, 2, 3, 3),
        "0_conv/b": (3,),
        "2_residual/0_conv/W": (4, 3, 1, 1),
        "2_residual/0_conv/b": (4,),
        "2_residual/shortcut/0_conv/W": (4, 3, 1, 1),
        "5_neck/0_dense/W": (4 * 3 * 4, 6),
        "5_neck/0_dense/b": (6,),
        "6_softmax/0_dense/W": (6, 5),
        "6_softmax/0_dense/b": (5,),
    }
    assert all(w.dtype == np.float32 for w in flatten(model.weights).values())
    assert all(w.flags.c_contiguous for w in flatten(model.weights).values())
    assert model.classes == tuple("abcde")
    assert model.layers == tuple(LAYERS)


def test_the_seed_decides_the_weights_and_the_dtype_only_rounds_them():
    one, two, other = build(), build(), build(seed=2)
    wide = flatten(build(dtype="float64").weights)
    for path, w in flatten(one.weights).items():
        assert np.array_equal(w, flatten(two.weights)[path])
        assert np.array_equal(w, wide[path].astype(np.float32))
        if path.endswith("W"):
            assert not np.array_equal(w, flatten(other.weights)[path])
    assert {w.dtype for w in wide.values()} == {np.dtype(np.float64)}


def test_a_layers_weights_do_not_depend_on_what_the_others_draw():
    """Each layer has a generator of its own: a wider first layer leaves the third as it was."""
    stacks = [[Dense(units=n), Relu(), Dense(units=3, init="normal")] for n in (4, 4, 9)]
    drawn = [flatten(Model.build(s, (7,)).weights)["2_dense/W"][:4] for s in stacks]
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])


def test_a_stack_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError) as caught:
        Model.build([Pool(size=2), Pool(size=4)], (1, 6, 6))
    assert str(caught.value) == (
        "layer 2 (pool) cannot pool its input: the 4x4 window does not fit the 3x3 map; expected "
        "size <= 3; shapes: input (1,6,6) -> 1 pool (1,3,3) -> 2 pool; use a smaller size, or "
        "drop a pool before it"
    )


# --- shapes and summary -------------------------------------------------------------------------


def test_shapes_and_summary_by_hand():
    model = build()
    shapes = [(3, 6, 8), (3, 6, 8), (4, 6, 8), (4, 3, 4), (4, 3, 4), (6,), (5,)]
    weights = [54 + 3, 0, 12 + 4 + 12, 0, 0, 48 * 6 + 6, 6 * 5 + 5]
    macs = [54 * 48, 0, 2 * 12 * 48, 0, 0, 48 * 6, 30]
    assert model.shapes() == list(zip(NAMES, shapes, strict=True))
    rows = model.summary()
    assert [row.path for row in rows] == NAMES
    assert [row.layer for row in rows] == LAYERS
    assert [row.weights for row in rows] == weights
    assert [row.macs for row in rows] == macs
    assert [row.bytes for row in rows] == [4 * int(np.prod(shape)) for shape in shapes]
    wide = build(dtype="float64").summary()
    assert [row.bytes for row in wide] == [2 * row.bytes for row in rows]


# --- predict ------------------------------------------------------------------------------------


def test_prediction_equals_the_layers_one_image_at_a_time():
    model, pictures = build(dtype="float64"), images(20)
    with Threads(1) as pool:
        y = model.predict(pictures, threads=pool)
    for picture, row in zip(pictures, y, strict=True):
        x = picture[None] / 255 - 0.5
        for name, layer in model.network.steps:
            x, _ = layer.forward(x, model.weights.get(name, {}), Context())
        np.testing.assert_allclose(row, x[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-12)


def test_no_images_give_no_rows():
    model = build(dtype="float64")
    y = model.predict(images()[:0])
    assert (y.shape, y.dtype) == ((0, 5), np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prediction_has_the_same_bits_for_any_number_of_threads_and_twice(dtype):
    model, pictures = build(dtype=dtype), images()
    found = []
    for threads in (1, 2, 4):
        with Threads(threads) as pool:
            found += [model.predict(pictures, threads=pool) for _ in range(2)]
    found.append(model.predict(pictures))
    assert found[0].dtype == dtype
    assert found[0].shape == (150, 5)
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bytes_and_floats_of_the_same_images_predict_alike(dtype):
    model, pictures = build(dtype=dtype), images()
    wanted = model.predict(pictures)
    for kind in (np.float32, np.float64):
        y = model.predict(pictures.astype(kind))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-6 if dtype == "float32" else 1e-12)


def test_prediction_changes_neither_images_nor_weights():
    model, pictures = build(), images()
    before, weights = pictures.copy(), {p: w.copy() for p, w in flatten(model.weights).items()}
    model.predict(pictures[::2])
    assert np.array_equal(pictures, before)
    assert all(np.array_equal(w, weights[p]) for p, w in flatten(model.weights).items())


def test_the_input_shape_is_what_the_transforms_leave():
    model = Model.build([Softmax(units=3)], (1, 4, 4), transforms=[Crop()])
    assert model.predict(np.zeros((2, 1, 6, 6), np.float32)).shape == (2, 3)
    with pytest.raises(DataError) as caught:
        model.predict(np.zeros((2, 1, 4, 4), np.float32))
    assert str(caught.value) == (
        "images are of shape (1, 4, 4), which the transforms make (1, 2, 2); the model takes "
        "(1, 4, 4)"
    )


def test_one_image_without_its_batch_axis_is_refused():
    with pytest.raises(DataError) as caught:
        build().predict(images()[0])
    assert str(caught.value) == (
        "images are of shape (6, 8), which the transforms make (6, 8); the model takes (2, 6, 8)"
        "; for one image pass x[None], for grey ones without channels x[:, None]"
    )


def test_lists_are_taken_and_other_things_than_numbers_refused():
    model, pictures = build(), images()
    assert np.array_equal(model.predict(pictures.tolist()), model.predict(pictures))
    for dtype in ("complex128", "object"):
        with pytest.raises(DataError) as caught:
            model.predict(pictures.astype(dtype))
        wanted = f"images are of dtype {dtype}; the model takes uint8 or floats"
        assert str(caught.value) == wanted


def test_a_model_is_printed_as_its_layer_table():
    model = Model.build(["relu", Softmax(units=3)], (1, 4, 4), classes=("a", "b", "c"))
    assert repr(model) == f"Model (1,4,4) -> (3)\n{model.summary()!r}"
    assert repr(model.summary()) == (
        "layer  type     shape    weights  MACs  memory\n"
        "1      relu     (1,4,4)        0     0    64 B\n"
        "2      softmax  (3)           51    48    12 B\n"
        "all                           51    48    76 B"
    )
    rows = re.findall(r"<tr>(.*?)</tr>", model.summary()._repr_html_())
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[2] == ["2", "softmax", "(3)", "51", "48", "12 B"]
    assert model._repr_html_() == model.summary()._repr_html_()


# --- save and load ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_comes_back_whole(tmp_path, dtype):
    model = build(dtype=dtype)
    model.save(tmp_path / "model.safetensors")
    again = Model.load(str(tmp_path / "model.safetensors"))
    assert (again.layers, again.input_shape) == (model.layers, model.input_shape)
    assert (again.transforms, again.classes) == (model.transforms, model.classes)
    assert list(flatten(again.weights)) == list(flatten(model.weights))
    for path, w in flatten(model.weights).items():
        assert np.array_equal(flatten(again.weights)[path], w)
        assert flatten(again.weights)[path].dtype == dtype
    assert np.array_equal(again.predict(images()), model.predict(images()))
    assert again.summary() == model.summary()


def test_weights_keep_their_order_where_names_sort_otherwise(tmp_path):
    """The eleventh layer's name, 10_dense, sorts before 2_dense."""
    model = Model.build([Dense(units=2)] * 12, (3,))
    model.save(tmp_path / "model.safetensors")
    again = Model.load(tmp_path / "model.safetensors")
    assert list(again.weights) == [f"{n}_dense" for n in range(12)]


def refused(path):
    with pytest.raises(RunError) as caught:
        Model.load(path)
    return str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.safetensors"
    assert refused(path) == f"cannot read {path}: No such file or directory"


@pytest.mark.parametrize("place", [0, 9, 60, -1])
def test_a_file_with_a_flipped_bit_is_refused(tmp_path, place):
    path = tmp_path / "model.safetensors"
    build().save(path)
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    text = refused(path)
    assert text.startswith(
        f"cannot use {path}: damaged, or not saved by cnnkit ({len(data)} bytes): "
    )
    assert text.endswith("; use another checkpoint")


def test_weights_that_do_not_fit_the_layers_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    build().save(path)
    tensors, meta = load_tensors(path)

    wrong = {**tensors, "weights/0_conv/b": np.zeros(4, np.float32)}
    save_tensors(path, wrong, meta)
    assert refused(path) == f"{path}: weight 0_conv/b should have shape (3,), but has (4,)"

    save_tensors(path, {k: v for k, v in tensors.items() if k != "weights/5_neck/0_dense/W"}, meta)
    assert refused(path) == (
        f"{path}: weight 5_neck/0_dense/W should have shape (48, 6), but has none at all"
    )

    save_tensors(path, {k: v.astype(np.float16) for k, v in tensors.items()}, meta)
    assert refused(path) == (
        f"{path}: weights are of dtype float16; expected float32 or float64, the same for all"
    )

    huge = json.loads(json.dumps(meta).replace('"units": 6', '"units": 268435456'))
    save_tensors(path, tensors, huge)
    assert refused(path) == (
        f"{path}: weight 5_neck/0_dense/W should have shape (48, 268435456), but has (48, 6)"
    )

    save_tensors(path, {**tensors, "weights/9_extra/W": np.zeros(1, np.float32)}, meta)
    assert refused(path) == f"{path}: weight 9_extra/W should have shape none at all, but has (1,)"


def test_layers_that_do_not_fit_each_other_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    build().save(path)
    tensors, meta = load_tensors(path)
    meta["model"]["input"] = [2, 2, 2]
    meta["model"]["layers"][0]["padding"] = "valid"
    save_tensors(path, tensors, meta)
    assert refused(path) == (
        f"{path}: cannot rebuild the model: layer 1 (conv) cannot cover its input: kernel 3 does "
        'not fit the 2x2 map; expected kernel <= 2 with padding "valid"; shapes: input (2,2,2) -> '
        '1 conv; use padding = "same", a smaller kernel, or drop a pool before it'
    )


def test_a_file_without_a_model_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_tensors(path, {"weights/W": np.zeros(1, np.float32)}, {"cats": 3})
    assert refused(path).startswith(f"{path}: cannot rebuild the model: ")


def test_a_type_that_is_not_installed_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    build().save(path)
    tensors, meta = load_tensors(path)
    meta["model"]["layers"][1] = {"type": "swoosh"}
    save_tensors(path, tensors, meta)
    assert "swoosh" in refused(path)


def test_a_dtype_that_no_spec_could_have():
    with pytest.raises(
        ValueError, match=r'^dtype must be "float32" or "float64", got \'float16\'$'
    ):
        Model.build([Softmax(units=3)], (1, 4, 4), dtype="float16")


def test_a_folder_is_no_place_for_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path):
        with pytest.raises(RunError, match=r"^cannot write "):
            build().save(path)
    assert list(tmp_path.iterdir()) == []
