"""The logical hash is of the data: equal for the same data saved again, and for no other."""

import h5py
import numpy as np
import pytest

from tasks.ingest.hashing import logical_sha256


def hash_of(path) -> str:
    with h5py.File(path, "r") as file:
        return logical_sha256(file)


def test_the_same_data_saved_again_have_the_same_hash(rich_file, save):
    one, other = save(rich_file(), "one.nwb"), save(rich_file(), "other.nwb")
    assert one.read_bytes() != other.read_bytes()
    assert hash_of(one) == hash_of(other)


@pytest.mark.parametrize(
    "name",
    [
        "acquisition/analog/data",
        "processing/behavior/Position/left/timestamps",
        "units/spike_times",
        "units/id",
    ],
)
def test_one_changed_value_changes_the_hash(rich_file, save, name):
    path = save(rich_file())
    before = hash_of(path)
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        values.flat[-1] += 1
        file[name][...] = values
    assert hash_of(path) != before


def test_a_changed_attribute_or_text_changes_the_hash(rich_file, save):
    path = save(rich_file())
    seen = {hash_of(path)}
    with h5py.File(path, "r+") as file:
        file["acquisition/analog/data"].attrs["unit"] = "A"
    seen.add(hash_of(path))
    with h5py.File(path, "r+") as file:
        file["general/subject/subject_id"][()] = "m2"
    seen.add(hash_of(path))
    assert len(seen) == 3


def test_chunks_and_compression_do_not_count(tmp_path):
    values = np.arange(1000.0).reshape(100, 10)
    for name, layout in (("a", {}), ("b", {"chunks": (7, 3), "compression": "gzip"})):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("x", data=values, **layout)
    assert hash_of(tmp_path / "a") == hash_of(tmp_path / "b")
