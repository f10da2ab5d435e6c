"""The same bytes, the same data saved again, and a corrected file of one session."""

import h5py
import numpy as np
import pynwb
import pytest

from schemas.entities import RunState
from schemas.settings.ingest import IngestSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest.task import ingest_recording

SETTINGS = IngestSettings(inspector=False)


@pytest.fixture
def workspace(tmp_path) -> WorkspaceSettings:
    return WorkspaceSettings(lake=str(tmp_path / "lake"))


def ingest(workspace, path):
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    assert outcome.state is RunState.COMPLETE, outcome.reason
    return outcome


def recording(new_file, data, **layout) -> pynwb.NWBFile:
    nwbfile = new_file()
    data = pynwb.H5DataIO(data, **layout) if layout else data
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=data, unit="V", rate=10.0))
    return nwbfile


def test_the_same_data_in_other_chunks_ids_and_names_are_the_same_recording(
    workspace, new_file, save
):
    data = np.arange(2000.0)
    one = save(recording(new_file, data), "one.nwb")
    other = save(
        recording(new_file, data, chunks=(64,), compression="gzip", shuffle=True), "other.nwb"
    )
    assert one.read_bytes() != other.read_bytes()
    first = ingest(workspace, one)
    again = ingest(workspace, other)
    assert (again.ref, again.reused) == (first.ref, True)
    assert Workspace(workspace).catalogue.sessions()["version"].tolist() == [1]


def test_a_file_that_pynwb_exports_is_the_same_recording(workspace, rich_file, save, tmp_path):
    path = save(rich_file())
    first = ingest(workspace, path)
    exported = tmp_path / "exported.nwb"
    with (
        pynwb.NWBHDF5IO(str(path), "r") as source,
        pynwb.NWBHDF5IO(str(exported), "w") as target,
    ):
        target.export(src_io=source, nwbfile=source.read())
    assert exported.read_bytes() != path.read_bytes()
    again = ingest(workspace, exported)
    assert (again.ref, again.reused) == (first.ref, True)


def test_a_corrected_file_is_a_version_that_names_the_old_one(workspace, new_file, save):
    data = np.arange(40.0)
    old = ingest(workspace, save(recording(new_file, data), "old.nwb"))
    data[7] = -1.0
    new = ingest(workspace, save(recording(new_file, data), "new.nwb"))
    assert new.ref != old.ref
    space = Workspace(workspace)
    (before,) = space.catalogue.get(f"streams/{old.ref.id}").parents
    (after,) = space.catalogue.get(f"streams/{new.ref.id}").parents
    facts = space.catalogue.facts(after.id)
    assert (facts["version"], facts["replaces"]) == (2, before.id)
    described = space.lake.read_json(after, "recording.json")
    (finding,) = [f for f in described["findings"] if f["code"] == "new_version"]
    assert str(before) in finding["what"]
    sessions = space.catalogue.sessions()
    assert sessions[["version", "verdict"]].to_numpy().tolist() == [[2, "accepted"]]
    versions = space.catalogue.versions()
    assert versions["version"].tolist() == [2, 1]
    assert versions["recording"].tolist() == [str(after), str(before)]
    np.testing.assert_array_equal(space.lake.open_tree(old.ref)["x/value"][7], 7.0)
    # The old file again changes nothing.
    assert ingest(workspace, versions["path"][1]).ref == old.ref
    assert space.catalogue.sessions()["version"].tolist() == [2]


def test_what_is_repaired_is_in_the_verdict_and_the_file_stays(workspace, new_file, save):
    times = np.arange(40) / 10.0
    times[5] = np.nan
    nwbfile = new_file()
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="x", data=np.arange(40.0), unit="V", timestamps=times)
    )
    path = save(nwbfile)
    whole = path.read_bytes()
    outcome = ingest(workspace, path)
    space = Workspace(workspace)
    assert space.catalogue.sessions()["verdict"].tolist() == ["accepted with repairs"]
    (parent,) = space.catalogue.get(f"streams/{outcome.ref.id}").parents
    assert space.catalogue.facts(parent.id)["verdict"] == "accepted with repairs"
    repairs = [f for f in space.lake.read_json(parent, "recording.json")["findings"] if f["repair"]]
    assert [finding["sample"] for finding in repairs] == [5]
    assert path.read_bytes() == whole
    with h5py.File(path, "r") as file:
        assert np.isnan(file["acquisition/x/timestamps"][5])
