"""The task: artifacts, what is not read twice, quarantine."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest

from schemas.contracts.streams import STREAMS
from schemas.entities import RunState
from schemas.settings.ingest import IngestSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest.task import ingest_recording

SETTINGS = IngestSettings(inspector=False)


@pytest.fixture
def workspace(tmp_path) -> WorkspaceSettings:
    return WorkspaceSettings(lake=str(tmp_path / "lake"))


def ingest(workspace, path, settings=SETTINGS):
    return ingest_recording(workspace, str(path), settings)


def small(new_file, video=()) -> pynwb.NWBFile:
    nwbfile = new_file()
    data = np.arange(-20, 20, dtype=np.int16).reshape(20, 2)
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="x", data=data, unit="V", rate=10.0, conversion=0.1, offset=0.5)
    )
    if video:
        nwbfile.add_acquisition(
            pynwb.image.ImageSeries(
                name="camera",
                external_file=list(video),
                format="external",
                timestamps=np.arange(5) / 10,
                starting_frame=[0],
            )
        )
    return nwbfile


def test_a_recording_becomes_two_artifacts(workspace, new_file, save):
    outcome = ingest(workspace, save(small(new_file)))
    assert outcome.state is RunState.COMPLETE
    assert outcome.key_figure == "1 stream, 2 s"
    space = Workspace(workspace)
    artifact = space.catalogue.find(outcome.ref.id)
    (recording,) = artifact.parents
    described = space.lake.read_json(recording, "recording.json")
    assert described["session"]["subject"]["subject_id"] == "m1"
    assert described["streams"]["x"]["sizes"] == {"time": 20, "channel": 2}
    tree = space.lake.open_tree(outcome.ref)
    STREAMS.check(tree)
    np.testing.assert_allclose(
        tree["x/value"], np.arange(-20, 20).reshape(20, 2) * 0.1 + 0.5, rtol=1e-6, atol=1e-7
    )


def test_the_lake_keeps_the_integers(workspace, new_file, save):
    import zarr

    outcome = ingest(workspace, save(small(new_file)))
    store = zarr.open(Workspace(workspace).lake.folder(outcome.ref) / "data.zarr", mode="r")
    assert store["x/value"].dtype == np.int16
    np.testing.assert_array_equal(store["x/value"][:], np.arange(-20, 20).reshape(20, 2))


def test_a_file_seen_before_is_not_read_again(workspace, new_file, save, monkeypatch):
    path = save(small(new_file))
    first = ingest(workspace, path)
    moved = path.rename(path.with_name("moved.nwb"))

    def refuse(*_, **__):
        raise AssertionError("the file was opened")

    monkeypatch.setattr("tasks.ingest.opening.read_recording", refuse)
    again = ingest(workspace, moved)
    assert (again.ref, again.reused) == (first.ref, True)


def test_the_same_data_saved_again_are_the_same_recording(workspace, new_file, save):
    first = ingest(workspace, save(small(new_file), "one.nwb"))
    again = ingest(workspace, save(small(new_file), "other.nwb"))
    assert (again.ref, again.reused) == (first.ref, True)


def test_a_video_that_arrives_later_makes_another_recording(workspace, new_file, save):
    path = save(small(new_file, ["film.mp4"]))
    first = ingest(workspace, path)
    assert first.key_figure.endswith("1 finding")
    path.with_name("film.mp4").write_bytes(b"not a video, but there")
    second = ingest(workspace, path)
    assert second.ref != first.ref
    stream = Workspace(workspace).lake.open_tree(second.ref)["camera"]
    assert json.loads(stream.attrs["files"]) == [str(path.with_name("film.mp4"))]
    assert stream.attrs["frames"] == "external"
    assert ingest(workspace, path).ref == second.ref


def test_a_bad_file_is_quarantined_and_a_users_own_is_not_moved(workspace, tmp_path):
    own = tmp_path / "own.nwb"
    own.write_bytes(b"nothing")
    outcome = ingest(workspace, own)
    assert outcome.state is RunState.FAILED
    assert "not HDF5" in outcome.reason
    space = Workspace(workspace)
    (folder,) = space.lake.quarantine.iterdir()
    assert "not HDF5" in json.loads((folder / "reason.json").read_text())["what"]
    assert own.exists()
    assert len(space.catalogue.quarantine_reasons()) == 1


def test_a_bad_file_of_the_landing_folder_is_moved(workspace):
    landing = Path(workspace.lake) / "landing"
    landing.mkdir(parents=True)
    (landing / "bad.nwb").write_bytes(b"nothing")
    # Changed long ago: it is no longer being copied.
    os.utime(landing / "bad.nwb", (1e9, 1e9))
    ingest(workspace, landing / "bad.nwb")
    assert not (landing / "bad.nwb").exists()
    assert len(list((Path(workspace.lake) / "quarantine").glob("*/bad.nwb"))) == 1


def test_a_path_that_is_no_file_fails_without_quarantine(workspace, tmp_path):
    outcome = ingest(workspace, tmp_path / "absent.nwb")
    assert outcome.state is RunState.FAILED
    assert Workspace(workspace).catalogue.quarantine_reasons() == []


def test_a_recording_without_streams_ends_empty_but_is_catalogued(workspace, new_file, save):
    outcome = ingest(workspace, save(new_file()))
    assert outcome.state is RunState.EMPTY
    assert "no stream" in outcome.reason
    assert len(Workspace(workspace).catalogue.sessions()) == 1


def test_a_simulated_recording_has_its_simulation_as_parent(workspace, new_file, save):
    from schemas.settings.base import StageSettings
    from tasks.common.workspace import Request

    source = save(small(new_file))
    space = Workspace(workspace)
    request = Request("simulation", "simulate", StageSettings())
    space.produce(request, lambda draft: os.link(source, draft.path / "session.nwb"))
    outcome = ingest(workspace, space.lake.folder(request.ref) / "session.nwb")
    (recording,) = space.catalogue.find(outcome.ref.id).parents
    assert space.catalogue.find(recording.id).parents == (request.ref,)


def test_a_damaged_chunk_leaves_out_its_stream_only(workspace, new_file, save):
    path = save(small(new_file))
    noise = np.random.default_rng(0).integers(0, 256, 4096).astype(np.uint8)
    with h5py.File(path, "r+") as file:
        group = file.copy(file["acquisition/x"], file["acquisition"], "y") or file["acquisition/y"]
        attrs = dict(group["data"].attrs)
        del group["data"]
        group.attrs["object_id"] = "00000000-0000-0000-0000-000000000001"
        data = group.create_dataset("data", data=noise, chunks=(4096,), compression="gzip")
        data.attrs.update(attrs)
        offset = data.id.get_chunk_info(0).byte_offset
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\0" * 64)
    outcome = ingest(workspace, path)
    assert outcome.key_figure == "1 stream, 2 s; 1 finding"
    assert list(Workspace(workspace).lake.open_tree(outcome.ref).children) == ["x"]
