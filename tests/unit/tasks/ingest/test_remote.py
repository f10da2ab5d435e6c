"""Recordings on other machines: read lazily, in blocks, in spite of a bad network."""

import warnings

import numpy as np
import pynwb
import pytest
import xarray as xr

from schemas.errors import NetworkError, RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.remote import RemoteSettings
from tasks.ingest.opening import read_recording
from tasks.ingest.ranged_file import RangedFile

QUICK = RemoteSettings(attempts=3, wait_s=0.01, timeout_s=5, block_kib=16)
SETTINGS = IngestSettings(inspector=False, remote=QUICK)


@pytest.fixture
def big_file(new_file):
    """Return an NWBFile with 8 MB that cannot be compressed, and a small stream."""
    nwbfile = new_file()
    noise = np.random.default_rng(0).random((10_000, 100))
    for name, data in (("wide", noise), ("small", noise[:50, :2])):
        nwbfile.add_acquisition(pynwb.TimeSeries(name=name, data=data, unit="V", rate=100.0))
    return nwbfile


def write_zarr(nwbfile, path):
    from hdmf_zarr import NWBZarrIO

    with warnings.catch_warnings():
        # hdmf-zarr's own remarks on consolidated metadata and text.
        warnings.simplefilter("ignore")
        with NWBZarrIO(str(path), "w") as io:
            io.write(nwbfile)
    return path


def test_a_remote_file_opens_with_a_small_part_of_its_bytes(far_server, big_file, save):
    path = save(big_file, "big.nwb")
    url = f"{far_server.url}/big.nwb"
    with xr.open_datatree(url, engine="nwb", settings=SETTINGS) as tree:
        opened = far_server.served
        assert opened < path.stat().st_size / 20
        part = tree["small/value"].values
        assert far_server.served - opened < 100_000
    with xr.open_datatree(path, engine="nwb") as local:
        np.testing.assert_array_equal(part, local["small/value"].values)


def test_a_remote_zarr_store_opens_without_a_chunk_of_its_data(far_server, big_file, tmp_path):
    path = write_zarr(big_file, tmp_path / "big.nwb.zarr")
    with xr.open_datatree(f"{far_server.url}/big.nwb.zarr", engine="nwb") as tree:
        assert far_server.served < 1_000_000
        with xr.open_datatree(path, engine="nwb") as local:
            xr.testing.assert_identical(
                tree["small"].to_dataset().load(), local["small"].to_dataset().load()
            )


@pytest.mark.parametrize("name", ["rich.nwb", "rich.nwb.zarr"])
def test_s3_gives_what_the_disk_gives(s3_bucket, rich_file, save, tmp_path, name):
    import s3fs

    path = tmp_path / name
    save(rich_file(), name) if name == "rich.nwb" else write_zarr(rich_file(), path)
    s3fs.S3FileSystem().put(str(path), f"{s3_bucket}/{name}", recursive=True)
    with (
        read_recording(f"{s3_bucket}/{name}", SETTINGS) as far,
        read_recording(path, SETTINGS) as near,
    ):
        assert far.session == near.session
        for stream, node in near.streams.children.items():
            if stream != "camera":  # its film is looked for beside a file that is near
                expected, found = node.to_dataset(), far.streams[stream].to_dataset()
                xr.testing.assert_identical(found.load(), expected.load())


def test_dropped_lines_and_latency_do_no_harm(far_server, rich_file, save):
    path = save(rich_file(), "rich.nwb")
    far_server.latency_s = 0.005
    far_server.drops = lambda number: number % 3 == 0
    with (
        read_recording(f"{far_server.url}/rich.nwb", SETTINGS) as far,
        read_recording(path, SETTINGS) as near,
    ):
        xr.testing.assert_identical(
            far.streams["units"].to_dataset().load(), near.streams["units"].to_dataset().load()
        )


@pytest.mark.parametrize("name", ["big.nwb", "big.nwb.zarr"])
def test_a_line_that_stays_dead_is_one_clear_error_and_may_heal(
    far_server, big_file, save, tmp_path, name
):
    save(big_file, name) if name == "big.nwb" else write_zarr(big_file, tmp_path / name)
    url = f"{far_server.url}/{name}"
    far_server.drops = lambda _: True
    with (
        pytest.raises(NetworkError, match="connection failed"),
        read_recording(url, SETTINGS),
    ):
        pass
    far_server.drops = lambda _: False
    with xr.open_datatree(url, engine="nwb", settings=SETTINGS) as tree:
        far_server.drops = lambda _: True
        if name == "big.nwb":  # while Zarr reads, its errors come as the driver raises them
            with pytest.raises(NetworkError, match="connection failed"):
                tree["wide/value"].variable.values  # noqa: B018 - reads
        far_server.drops = lambda _: False
        assert (tree["wide/value"].variable[:10].values > 0).all()


def test_what_is_not_there_or_no_nwb_is_told_from_a_bad_network(far_server, tmp_path):
    (tmp_path / "text.nwb").write_text("no HDF5")
    for name, problem in (("absent.nwb", "no_file"), ("text.nwb", "not_hdf5")):
        with (
            pytest.raises(RecordingError) as caught,
            read_recording(f"{far_server.url}/{name}", SETTINGS),
        ):
            pass
        assert caught.value.problem == problem
    far_server.ranges = False
    (tmp_path / "long.nwb").write_bytes(bytes(100_000))
    with (
        pytest.raises(NetworkError, match="whole files only"),
        read_recording(f"{far_server.url}/long.nwb", SETTINGS),
    ):
        pass


def test_blocks_are_fetched_once_and_in_few_requests(far_server, tmp_path):
    content = np.random.default_rng(1).bytes(1_000_003)
    (tmp_path / "bytes").write_bytes(content)
    file = RangedFile(f"{far_server.url}/bytes", QUICK)
    answers = far_server.answers
    assert file.read(100) == content[:100]
    assert file.read(300_000) == content[100:300_100]
    assert far_server.answers - answers == 2
    file.seek(-5, 2)
    assert file.read(50) == content[-5:]
    file.seek(0)
    assert file.readall() == content
    assert file.bytes_read == far_server.served == len(content)


def test_no_secret_of_an_address_reaches_a_message(far_server):
    port = far_server.server_port
    address = f"http://user:word@127.0.0.1:{port}/a.nwb?signature=secret"
    with pytest.raises(RecordingError) as caught, read_recording(address, SETTINGS):
        pass
    assert "secret" not in str(caught.value)
    assert "word" not in str(caught.value)
