"""NWB in Zarr reads as the same recording in HDF5 does, and nothing in it is run or followed."""

import json
import pickle
import shutil
from functools import partial

import numcodecs
import numpy as np
import pynwb
import pytest
import xarray as xr
import zarr

from schemas.entities import RunState
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.safety import SafetySettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.common.zarr_trees import quiet_zarr
from tasks.ingest import zarr_hashing
from tasks.ingest.guard import survey_guarded
from tasks.ingest.opening import read_recording
from tasks.ingest.task import ingest_recording
from tasks.ingest.zarr_folder import local_store


def read_all(path):
    with read_recording(path):
        pass


def edit(path, change):
    """Change a JSON file in place."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_zarr_and_hdf5_give_the_same_streams(rich_file, save, save_zarr):
    with (
        read_recording(save(rich_file())) as hdf5,
        read_recording(save_zarr(rich_file())) as in_zarr,
    ):
        assert in_zarr.session == hdf5.session
        assert list(in_zarr.streams.children) == list(hdf5.streams.children)
        for name, node in hdf5.streams.children.items():
            expected, found = (
                node.to_dataset(inherit=False),
                in_zarr.streams[name].to_dataset(inherit=False),
            )
            xr.testing.assert_identical(found.load(), expected.load())


def test_a_pickled_array_reads_again_and_by_any_selection(rich_file, save_zarr):
    with read_recording(save_zarr(rich_file())) as recording:
        voltage = recording.streams["lfp/voltage"].variable
        again = pickle.loads(pickle.dumps(voltage))  # noqa: S301 - made here
        whole = voltage.values
        np.testing.assert_array_equal(again[::-3].values, whole[::-3])
        np.testing.assert_array_equal(again[[7, 2, 2], 1].values, whole[[7, 2, 2], 1])
        np.testing.assert_array_equal(again[5].values, whole[5])


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("zarr_codec", lambda node: node["codecs"].append({"name": "numcodecs.pickle"})),
        ("zarr_codec", lambda node: node.update(storage_transformers=[{"name": "x"}])),
        ("zarr_codec", lambda node: node.update(zarr_format=2)),
        ("damaged", lambda node: node.pop("shape")),
        ("damaged", lambda node: node.update(shape=[-1])),
        ("damaged", lambda node: node.pop("data_type")),
        ("damaged", lambda node: node.update(node_type="else")),
        ("damaged", lambda node: node.update(attributes=[])),
        ("damaged", lambda node: node.pop("chunk_grid")),
    ],
)
def test_metadata_that_lack_something_or_ask_for_unknown_code_are_refused(
    new_file, save_zarr, problem, change
):
    path = save_zarr(new_file())
    edit(
        path / "zarr.json",
        lambda root: change(root["consolidated_metadata"]["metadata"]["identifier"]),
    )
    for read in (read_all, partial(survey_guarded, settings=SafetySettings())):
        with pytest.raises(RecordingError) as caught:
            read(path)
        assert caught.value.problem == problem


@pytest.mark.parametrize("name", ["session_description", "identifier"])
def test_text_that_claims_billions_of_words_is_refused_in_bounded_memory(
    rich_file, save_zarr, name
):
    path = save_zarr(rich_file())
    codecs = json.loads((path / name / "zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["vlen-utf8", "zstd"]
    chunk = path / name / "c"
    chunk.write_bytes(numcodecs.Zstd().encode(np.uint32(2**31 - 1).tobytes() + bytes(64)))
    with pytest.raises(RecordingError) as caught:
        survey_guarded(path, SafetySettings(memory_mib=2048))
    assert caught.value.problem == "out_of_memory"
    chunk.write_bytes(numcodecs.Zstd().encode(np.uint32(2**10).tobytes() + bytes(64)))
    assert survey_guarded(path, SafetySettings()), "unreadable, but harmless"


@pytest.mark.parametrize("name", ["data", "timestamps"])
def test_a_damaged_chunk_costs_its_stream_and_no_other(rich_file, save_zarr, tmp_path, name):
    session = rich_file()
    values = np.arange(50.0)
    session.add_acquisition(
        pynwb.TimeSeries(name="damaged", data=values, unit="V", timestamps=values)
    )
    path = save_zarr(session)
    node = json.loads((path / "acquisition/damaged" / name / "zarr.json").read_text())
    assert node["codecs"][-1]["name"] == "zstd"
    (path / "acquisition/damaged" / name / "c" / "0").write_bytes(b"no zstd at all")
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    done = ingest_recording(workspace, str(path), IngestSettings(inspector=False))
    assert done.state is RunState.COMPLETE
    tree = Workspace(workspace).lake.open_tree(done.ref)
    assert "lfp" in tree.children
    assert "damaged" not in tree.children


def test_chunks_that_do_not_fit_into_memory_are_refused(rich_file, save_zarr):
    path = save_zarr(rich_file())

    def swell(root):
        node = root["consolidated_metadata"]["metadata"]["acquisition/lfp/data"]
        node["chunk_grid"]["configuration"]["chunk_shape"] = [2**30, 2]

    edit(path / "zarr.json", swell)
    with pytest.raises(RecordingError) as caught:
        survey_guarded(path, SafetySettings())
    assert caught.value.problem == "chunk_too_large"


def test_the_same_store_has_the_same_hash_tables_of_several_fields_included(rich_file, save_zarr):
    one, other = (save_zarr(rich_file(), f"{name}.nwb.zarr") for name in ("one", "other"))
    assert survey_guarded(one, SafetySettings()) == survey_guarded(other, SafetySettings())


def test_a_link_out_of_the_store_is_not_followed(rich_file, save_zarr, tmp_path):
    path = save_zarr(rich_file())
    shutil.copytree(path, tmp_path / "other.zarr")

    def lead_away(root):
        group = root["consolidated_metadata"]["metadata"]["general/extracellular_ephys/g"]
        group["attributes"]["_LINKS"][0]["source"] = "../other.zarr"

    edit(path / "zarr.json", lead_away)
    with pytest.raises(RecordingError, match=r"other\.zarr") as caught, read_recording(path):
        pass
    assert caught.value.problem == "link_outside"


def test_zarr_v2_and_folders_that_are_no_nwb_are_refused(tmp_path):
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    for name, problem in (("v2", "zarr_v2"), ("empty", "not_zarr"), ("other", "not_nwb")):
        with pytest.raises(RecordingError) as caught, read_recording(tmp_path / name):
            pass
        assert caught.value.problem == problem


def test_the_hash_of_text_does_not_depend_on_its_chunks(tmp_path, monkeypatch):
    """Blocks follow the chunks; with small ones that shows without millions of words."""
    monkeypatch.setattr(zarr_hashing, "TEXT_BLOCK", 4)
    found = set()
    for rows in (4, 10):
        root = zarr.open_group(tmp_path / f"{rows}.zarr", mode="w")
        words = np.array([f"word {n}" for n in range(23)], np.dtypes.StringDType())
        with quiet_zarr():
            root.create_array("words", data=words, chunks=(rows,))
        store = local_store(str(tmp_path / f"{rows}.zarr"))
        with quiet_zarr():
            nodes = {"": {"node_type": "group"}, "words": {"node_type": "array"}}
            found.add(zarr_hashing.zarr_logical_sha256(store, nodes))
    assert len(found) == 1
