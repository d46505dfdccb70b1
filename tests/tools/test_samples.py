from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.errors import RunError
from nn2wasm.ir.dtype import DType
from nn2wasm.loaders import TensorInfo
from nn2wasm.tools.samples import (
    Stacking,
    pick_inputs,
    random_samples,
    read_arrays,
    split,
    write_arrays,
)

IMAGE = TensorInfo("image", DType.F32, (1, 2, 3))
MASK = TensorInfo("mask", DType.U8, (4,))


@pytest.mark.parametrize(
    ("shape", "count", "stacking"),
    [
        ((1, 2, 3), 1, Stacking.SINGLE),
        ((2, 3), 1, Stacking.SINGLE),
        ((7, 2, 3), 7, Stacking.JOINED),
        ((7, 1, 2, 3), 7, Stacking.STACKED),
    ],
)
def test_arrays_are_cut_into_samples(shape, count, stacking):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    samples = split([IMAGE], {"image": array}, "test")
    assert len(samples.feeds) == count
    assert samples.stacking is stacking
    assert all(feed["image"].shape == IMAGE.shape for feed in samples.feeds)
    joined = samples.join([{"y": feed["image"]} for feed in samples.feeds])["y"]
    assert np.array_equal(joined.reshape(-1), array.reshape(-1))
    assert joined.shape == (shape if len(shape) > 2 else (1, *shape))


def test_what_does_not_fit_stays_whole_so_that_running_it_explains():
    samples = split([IMAGE], {"image": np.zeros((5, 5))}, "test")
    assert samples.feeds[0]["image"].shape == (5, 5)


def test_inputs_need_the_same_number_of_samples():
    with pytest.raises(RunError, match="same number of samples"):
        split([IMAGE, MASK], {"image": np.zeros((3, 2, 3)), "mask": np.zeros((2, 4))}, "test")
    with pytest.raises(RunError, match="same number of samples"):
        split([IMAGE], {"image": np.zeros((0, 2, 3))}, "test")


def test_inputs_are_found_by_name_by_place_or_alone():
    a, b = np.zeros(1), np.ones(1)
    assert pick_inputs([IMAGE], {"": a})["image"] is a
    assert pick_inputs([IMAGE], {"image": b, "label": a})["image"] is b
    assert pick_inputs([IMAGE, MASK], {"in_0": a, "in_1": b, "out_0": a}) == {"image": a, "mask": b}
    with pytest.raises(RunError) as caught:
        pick_inputs([IMAGE, MASK], {"image": a, "maks": b})
    assert ("missing", "'mask'  u8 [4]") in caught.value.facts


def test_random_samples_are_the_same_every_time():
    tokens = TensorInfo("tokens", DType.S64, (8,))
    first, second = (random_samples([IMAGE, MASK, tokens], 3) for _ in range(2))
    for one, other in zip(first.feeds, second.feeds, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    feed = first.feeds[0]
    assert feed["image"].dtype == np.float32
    assert feed["tokens"].max() < 10
    assert "seed 0" in first.origin


@pytest.mark.parametrize("names", [["y"], ["file", "a/b", "Identity:0"]])
def test_arrays_survive_the_file(tmp_path, names):
    arrays = {name: np.arange(6, dtype=np.int8).reshape(2, 3) + i for i, name in enumerate(names)}
    write_arrays(tmp_path / "out.npz", arrays)
    back = read_arrays(tmp_path / "out.npz")
    assert list(back) == names
    assert all(np.array_equal(back[name], arrays[name]) for name in names)


def test_an_npy_holds_one_array(tmp_path):
    write_arrays(tmp_path / "out.npy", {"y": np.ones(3)})
    assert np.array_equal(np.load(tmp_path / "out.npy"), np.ones(3))
    with pytest.raises(RunError, match="2 outputs"):
        write_arrays(tmp_path / "two.npy", {"a": np.ones(3), "b": np.ones(3)})
    with pytest.raises(RunError, match="ending"):
        write_arrays(tmp_path / "out.txt", {"y": np.ones(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


@pytest.mark.parametrize("content", [b"", b"junk" * 30, b"PK\x03\x04junk"])
def test_damaged_files_are_errors(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(RunError):
        read_arrays(path)


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.asarray([{}], dtype=object))
    with pytest.raises(RunError, match="no arrays"):
        read_arrays(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", x=np.ones(2), names=np.asarray(["a", {}], dtype=object))
    assert list(read_arrays(tmp_path / "x.npz")) == ["x"]
