"""Every kind of source becomes a recording, once: Zarr folders, http(s), S3."""

import json
import warnings

import h5py
import numpy as np
import pynwb
import pytest
import s3fs

from schemas.entities import RunState
from schemas.errors import NetworkError
from schemas.settings.ingest import IngestSettings
from schemas.settings.remote import RemoteSettings
from schemas.settings.safety import SafetySettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.doctor import examine
from tasks.common.workspace import Workspace
from tasks.ingest.quarantine import release_file
from tasks.ingest.task import ingest_recording

QUICK = RemoteSettings(attempts=2, wait_s=0.01, timeout_s=5, block_kib=64)
SETTINGS = IngestSettings(inspector=False, remote=QUICK)
VALUES = np.random.default_rng(0).integers(-99, 99, (40_000, 20)).astype(np.int16)


@pytest.fixture
def workspace(tmp_path) -> WorkspaceSettings:
    return WorkspaceSettings(lake=str(tmp_path / "lake"))


@pytest.fixture
def write(new_file, save, tmp_path):
    """Return a function that writes the same small recording in either format."""

    def make(name):
        nwbfile = new_file()
        nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=VALUES, unit="V", rate=10.0))
        if not name.endswith(".zarr"):
            return save(nwbfile, name)
        from hdmf_zarr import NWBZarrIO

        with warnings.catch_warnings():
            # hdmf-zarr's own remarks on consolidated metadata and text.
            warnings.simplefilter("ignore")
            with NWBZarrIO(str(tmp_path / name), "w") as io:
                io.write(nwbfile)
        return tmp_path / name

    return make


def ingest(workspace, where):
    return ingest_recording(workspace, str(where), SETTINGS)


def described(workspace, outcome):
    space = Workspace(workspace)
    (recording,) = space.catalogue.find(outcome.ref.id).parents
    return space.lake.read_json(recording, "recording.json")


def assert_whole(workspace, outcome):
    assert outcome.state is RunState.COMPLETE, outcome.reason
    tree = Workspace(workspace).lake.open_tree(outcome.ref)
    np.testing.assert_array_equal(tree["x/value"], VALUES)
    assert not list(Workspace(workspace).lake.tmp.iterdir()), "the copy was removed"


def test_a_zarr_folder_is_ingested_once(workspace, write, tmp_path):
    path = write("one.nwb.zarr")
    first = ingest(workspace, path)
    assert_whole(workspace, first)
    again = ingest(workspace, path.rename(tmp_path / "moved.nwb.zarr"))
    assert (again.ref, again.reused) == (first.ref, True)
    saved_again = ingest(workspace, write("other.nwb.zarr"))
    assert (saved_again.ref, saved_again.reused) == (first.ref, True)


def test_zarr_v2_goes_into_quarantine_with_the_reason(workspace, tmp_path):
    (tmp_path / "old.nwb.zarr").mkdir()
    (tmp_path / "old.nwb.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    outcome = ingest(workspace, tmp_path / "old.nwb.zarr")
    assert outcome.state is RunState.FAILED
    (reason,) = Workspace(workspace).catalogue.quarantine_reasons()
    assert reason["problem"] == "zarr_v2"
    assert "pickled" in reason["what"]


def test_a_folder_that_is_no_store_only_fails(workspace, tmp_path):
    assert ingest(workspace, tmp_path).state is RunState.FAILED
    assert Workspace(workspace).catalogue.quarantine_reasons() == []


def test_a_store_in_the_landing_folder_is_left_until_it_is_whole(workspace, write, tmp_path):
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    path = write("x.nwb.zarr").rename(landing / "x.nwb.zarr")
    waiting = ingest(workspace, path)
    assert waiting.state is RunState.WAITING
    assert "may still be being copied" in waiting.reason
    at_once = SETTINGS.model_copy(update={"safety": SafetySettings(settling_seconds=0)})
    assert_whole(workspace, ingest_recording(workspace, str(path), at_once))


@pytest.mark.parametrize(("name", "problem"), [("x.nwb", "not_hdf5"), ("y.nwb", "claims_too_much")])
def test_a_refused_recording_far_away_is_listed_and_can_be_tried_again(
    workspace, write, far_server, name, problem
):
    path = write(name)
    whole = path.read_bytes()
    if problem == "not_hdf5":
        path.write_bytes(b"nothing" * 1000)
    else:
        with h5py.File(path, "r+") as file:
            file["acquisition/x"].create_dataset("huge", (10**13,), "f8", chunks=(10**5,))
    url = f"{far_server.url}/{name}"
    assert ingest(workspace, url).state is RunState.FAILED
    space = Workspace(workspace)
    (entry,) = space.catalogue.quarantine_reasons()
    assert (entry["path"], entry["problem"]) == (url, problem)
    assert entry["bytes"] == path.stat().st_size
    path.write_bytes(whole)
    assert release_file(space.lake, space.catalogue, entry, "mended") == url
    assert_whole(workspace, ingest(workspace, url))
    (entry,) = space.catalogue.quarantine_reasons()
    assert entry["settled"] == "replaced"


@pytest.mark.parametrize("name", ["x.nwb", "x.nwb.zarr"])
def test_http_is_fetched_once_and_is_the_same_recording(workspace, write, far_server, name):
    path = write(name)
    size = sum(p.stat().st_size for p in [path, *path.rglob("*")] if p.is_file())
    url = f"{far_server.url}/{name}"
    first = ingest(workspace, url if name.endswith(".zarr") else f"{url}?token=secret")
    assert_whole(workspace, first)
    told = described(workspace, first)
    assert told["path"] == url
    assert told["bytes"] == size
    assert "secret" not in json.dumps(told)
    assert told["fetched_bytes"] == size
    # A look before all is fetched: some blocks, or the metadata of a store.
    assert far_server.served < 1.5 * size
    served = far_server.served
    again = ingest(workspace, url)
    assert (again.ref, again.reused) == (first.ref, True)
    assert far_server.served == served
    assert ingest(workspace, path).ref == first.ref, "the same bytes on the disk"


def test_a_server_that_sends_whole_files_only_will_do(workspace, write, far_server):
    far_server.ranges = False
    path = write("x.nwb")
    broken = iter([True])
    # Of the answers with content the first breaks off in the middle.
    far_server.drops = lambda _: far_server.served > 0 and next(broken, False)
    first = ingest(workspace, f"{far_server.url}/x.nwb")
    assert_whole(workspace, first)
    assert next(broken, "spent") == "spent"
    assert described(workspace, first)["fetched_bytes"] == path.stat().st_size
    assert ingest(workspace, path).ref == first.ref, "the same bytes on the disk"
    (path.parent / "text.nwb").write_text("nothing" * 1000)
    assert ingest(workspace, f"{far_server.url}/text.nwb").state is RunState.FAILED
    (entry,) = Workspace(workspace).catalogue.quarantine_reasons()
    assert entry["problem"] == "not_hdf5"


def test_a_store_is_not_asked_for_chunks_without_end(workspace, write, far_server):
    """A web server lists nothing, so each chunk that the metadata imply must be asked for."""
    path = write("x.nwb.zarr") / "zarr.json"
    root = json.loads(path.read_text())
    root["consolidated_metadata"]["metadata"]["acquisition/x/data"]["shape"] = [10**13, 20]
    path.write_text(json.dumps(root))
    answers = far_server.answers
    outcome = ingest(workspace, f"{far_server.url}/x.nwb.zarr")
    assert outcome.state is RunState.FAILED
    assert "chunks" in outcome.reason
    (entry,) = Workspace(workspace).catalogue.quarantine_reasons()
    assert entry["problem"] == "claims_too_much"
    assert far_server.answers - answers < 20


@pytest.mark.parametrize("name", ["x.nwb", "x.nwb.zarr"])
def test_s3_is_the_same_recording(workspace, write, s3_bucket, name):
    path = write(name)
    s3fs.S3FileSystem().put(str(path), f"{s3_bucket}/{name}", recursive=True)
    first = ingest(workspace, f"{s3_bucket}/{name}")
    assert_whole(workspace, first)
    assert described(workspace, first)["path"] == f"{s3_bucket}/{name}"
    assert ingest(workspace, path).ref == first.ref


@pytest.mark.parametrize("name", ["x.nwb", "x.nwb.zarr"])
def test_a_line_that_dies_leaves_the_lake_as_it_was(workspace, write, far_server, name):
    write(name)
    far_server.drops = lambda number: number > 4
    with pytest.raises(NetworkError, match="connection failed"):
        ingest(workspace, f"{far_server.url}/{name}")
    space = Workspace(workspace)
    assert space.catalogue.artifacts() == []
    assert space.catalogue.quarantine_reasons() == []
    assert examine(space) == []
    far_server.drops = lambda _: False
    assert_whole(workspace, ingest(workspace, f"{far_server.url}/{name}"))
