"""Files that cannot be used are refused with the reason; one bad object harms no other."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr

from schemas.errors import RecordingError
from tasks.ingest.formats import Hdf5Format
from tasks.ingest.lazy import plain_dataset
from tasks.ingest.opening import read_recording
from tasks.ingest.specifications import _build_once
from tasks.ingest.streams import READERS


def refuse(path) -> str:
    with pytest.raises(RecordingError) as caught, read_recording(path):
        pass
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refuse(tmp_path / "absent.nwb")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.nwb").touch()
    assert "empty" in refuse(tmp_path / "empty.nwb")


def test_another_format_is_refused(tmp_path):
    (tmp_path / "text.nwb").write_text("hello, this is no recording")
    assert "not HDF5" in refuse(tmp_path / "text.nwb")


def test_a_file_cut_short_is_refused(rich_file, save, tmp_path):
    whole = save(rich_file()).read_bytes()
    (tmp_path / "cut.nwb").write_bytes(whole[: len(whole) // 2])
    assert "cut short or damaged" in refuse(tmp_path / "cut.nwb")


def test_hdf5_that_is_no_nwb_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    assert "not NWB" in refuse(tmp_path / "other.nwb")


def test_nwb_1_is_refused(tmp_path):
    with h5py.File(tmp_path / "old.nwb", "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
    assert "NWB 1" in refuse(tmp_path / "old.nwb")


def test_a_file_that_pynwb_cannot_build_is_refused(rich_file, save):
    path = save(rich_file())
    with h5py.File(path, "r+") as file:
        del file["session_start_time"]
    assert "pynwb cannot read" in refuse(path)


def test_an_object_that_breaks_its_reader_harms_no_other(rich_file, save, monkeypatch):
    def fail(*_):
        raise ValueError("broken on purpose")

    monkeypatch.setattr(type(READERS[0]), "read", fail)
    with read_recording(save(rich_file())) as opened:
        assert "units" not in opened.streams.children
        assert "df_over_f" in opened.streams.children
        broken = [f for f in opened.findings if f.code == "stream_unreadable"]
        assert [f.where for f in broken] == ["units"]
        assert "broken on purpose" in broken[0].what


def test_session_and_subject_are_read(rich_file, save):
    with read_recording(save(rich_file())) as opened:
        assert opened.session.subject.subject_id == "m1"
        assert opened.session.subject.species == "Mus musculus"
        assert opened.session.start_time.isoformat() == "2026-01-02T03:04:05+00:00"
        assert opened.streams.attrs["age"] == "P90D"


def test_a_file_without_a_subject_is_read_with_a_finding(new_file, save):
    nwbfile = new_file(subject=None)
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(3), unit="V", rate=1.0))
    with read_recording(save(nwbfile)) as opened:
        assert {finding.code for finding in opened.findings} == {"no_subject"}
        assert opened.streams["x/value"].dtype == np.int64


def test_specifications_are_built_once_and_read_the_same(rich_file, save, monkeypatch):
    path = save(rich_file())
    built = []
    load = Hdf5Format.load_namespaces
    monkeypatch.setattr(
        Hdf5Format, "load_namespaces", lambda self, types: built.append(1) or load(self, types)
    )
    _build_once.cache_clear()
    seen = []
    for _ in range(3):
        with read_recording(path) as opened:
            seen.append((opened.findings, opened.streams.load()))
    assert len(built) == 1
    for findings, streams in seen[1:]:
        assert findings == seen[0][0]
        xr.testing.assert_identical(streams, seen[0][1])
    other = Path(shutil.copy(path, path.with_name("other.nwb")))
    with h5py.File(other, "a") as file:
        (version,) = file["specifications/core"]
        file[f"specifications/core/{version}/note"] = "changed"
    with read_recording(other):
        assert len(built) == 2


def test_a_column_of_plain_records_is_read_as_one(tmp_path):
    numbers = np.zeros(3, [("x", "u4"), ("weight", "f4")])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        masks = file.create_dataset("masks", data=numbers)
        names = file.create_dataset("names", shape=3, dtype=[("x", h5py.string_dtype())])
        assert plain_dataset(SimpleNamespace(dataset=masks)) is masks
        other = SimpleNamespace(dataset=names)
        assert plain_dataset(other) is other
        assert plain_dataset(masks) is masks
