"""What damage costs, and what is the machine's fault and costs nothing but the run."""

import errno
import os

import h5py
import numpy as np
import pynwb
import pytest
import zarr.storage
from pynwb.epoch import TimeIntervals

from schemas.entities import RunState
from schemas.errors import NetworkError, RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.safety import SafetySettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest import hashing
from tasks.ingest.check import check_streams, without_unreadable
from tasks.ingest.damage import damage_told, is_machine_error
from tasks.ingest.guard import limits_of, survey_guarded
from tasks.ingest.opening import read_recording
from tasks.ingest.survey import survey_file
from tasks.ingest.task import ingest_recording
from tasks.ingest.validate import validate_recording

SETTINGS = IngestSettings(inspector=False)


def with_trials(nwbfile: pynwb.NWBFile) -> pynwb.NWBFile:
    nwbfile.add_trial_column("delay", "seconds")
    nwbfile.add_trial_column("side", "left or right")
    for n in range(40):
        nwbfile.add_trial(start_time=float(n), stop_time=n + 0.5, delay=n / 7, side="left")
    return nwbfile


def broken(error: Exception) -> Exception:
    """Return an error as a library wraps one."""
    try:
        raise ValueError("while something was read") from error
    except ValueError as wrapped:
        return wrapped


@pytest.mark.parametrize(
    ("error", "machine"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (ConnectionResetError("by peer"), True),
        (TimeoutError("too long"), True),
        (NetworkError("the connection failed"), True),
        (broken(OSError(errno.EIO, "Input/output error")), True),
        (OSError("filter returned failure during read"), False),
        (OSError(errno.EINVAL, "an offset beyond all files"), False),
        (FileNotFoundError(errno.ENOENT, "no such part"), False),
        (RuntimeError("Zstd decompression error"), False),
        (RecordingError("damaged"), False),
        (broken(ValueError("cannot reshape")), False),
    ],
)
def test_the_machine_s_errors_are_told_from_the_file_s(error, machine):
    assert is_machine_error(error) is machine
    with pytest.raises(type(error) if machine else RecordingError), damage_told("x"):
        raise error


def test_what_hdf5_cannot_read_from_the_disk_is_no_damage(tmp_path):
    """HDF5 tells the number of the system's error where there was one."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(2**16)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        descriptor = file.id.get_vfd_handle()
        kept = os.dup(descriptor)
        os.close(descriptor)
        try:
            with pytest.raises((OSError, KeyError), match="errno") as caught:
                file["x"][:]
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)
    assert is_machine_error(caught.value)


@pytest.mark.parametrize("column", ["delay", "side"])
def test_a_damaged_column_of_a_zarr_store_costs_no_other(new_file, save_zarr, tmp_path, column):
    path = save_zarr(with_trials(new_file()))
    (path / "intervals/trials" / column / "c" / "0").write_bytes(b"no zstd at all")
    assert_only_the_column_is_lost(path, tmp_path, column)


def test_a_damaged_column_of_an_hdf5_file_costs_no_other(new_file, save, tmp_path):
    path = save(with_trials(new_file()))
    with h5py.File(path, "r+") as file:
        table = file["intervals/trials"]
        values, attrs = table["delay"][:], dict(table["delay"].attrs)
        del table["delay"]
        packed = table.create_dataset("delay", data=values, chunks=(40,), compression="gzip")
        packed.attrs.update(attrs)
        offset = packed.id.get_chunk_info(0).byte_offset
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\0" * 64)
    assert_only_the_column_is_lost(path, tmp_path, "delay")


def assert_only_the_column_is_lost(path, tmp_path, column):
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    assert outcome.state is RunState.COMPLETE
    space = Workspace(workspace)
    trials = space.lake.open_tree(outcome.ref)["trials"]
    assert column not in trials.variables
    assert {"start_time", "stop_time", "delay", "side"} - {column} <= set(trials.variables)
    (recording,) = space.catalogue.find(outcome.ref.id).parents
    described = space.lake.read_json(recording, "recording.json")
    assert described["verdict"] == "accepted with repairs"
    (finding,) = [f for f in described["findings"] if f["code"] == "column_unreadable"]
    assert finding["where"] == f"intervals/trials/{column}"
    assert "damaged" in finding["what"]
    assert finding["remedy"]
    verdict = validate_recording(path, SETTINGS)
    assert verdict.verdict == "accepted with repairs"


def test_a_table_without_its_start_is_left_out_and_the_rest_is_read(new_file, save_zarr, tmp_path):
    session = with_trials(new_file())
    epochs = TimeIntervals(name="blocks", description="blocks of trials")
    epochs.add_row(start_time=0.0, stop_time=20.0)
    session.add_time_intervals(epochs)
    path = save_zarr(session)
    (path / "intervals/trials/start_time/c/0").write_bytes(b"no zstd at all")
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    assert list(Workspace(workspace).lake.open_tree(outcome.ref).children) == ["blocks"]


def test_a_store_that_lost_its_root_is_quarantined(new_file, save_zarr, tmp_path):
    path = save_zarr(new_file())
    (path / "zarr.json").unlink()
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    assert outcome.state is RunState.FAILED
    (reason,) = Workspace(workspace).catalogue.quarantine_reasons()
    assert reason["problem"] == "not_zarr"


def test_a_failing_disk_below_a_store_fails_the_run_and_nothing_is_quarantined(
    new_file, save_zarr, tmp_path, monkeypatch
):
    path = save_zarr(with_trials(new_file()))
    get = zarr.storage.LocalStore.get

    async def failing(self, key, *args, **options):
        if key.endswith("delay/c/0"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), key)
        return await get(self, key, *args, **options)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", failing)
    with pytest.raises(OSError, match="Input/output error"), read_recording(path) as opened:
        opened.streams["trials/delay"].to_numpy()
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    with pytest.raises(OSError, match="Input/output error"):
        ingest_recording(workspace, str(path), SETTINGS)
    assert not Workspace(workspace).catalogue.quarantine_reasons()


def test_the_guard_hands_on_what_the_machine_answered(tmp_path, monkeypatch):
    """The process that reads first says the number; the reader gets it as if it had read itself."""
    script = tmp_path / "python"
    script.write_text(
        '#!/bin/sh\necho \'{"at": "/x", "read": 1}\'\necho \'{"machine": [5, "bad"]}\'\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr("tasks.ingest.guard.sys.executable", str(script))
    recording = tmp_path / "a.nwb"
    recording.write_bytes(b"x")
    with pytest.raises(OSError, match="bad") as caught:
        survey_guarded(recording, SafetySettings())
    assert caught.value.errno == errno.EIO


def test_a_failing_disk_is_no_hash(new_file, save, monkeypatch):
    path = save(with_trials(new_file()))

    def failing(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(hashing, "_digest_values", failing)
    limits = limits_of(path, SafetySettings())
    with pytest.raises(OSError, match="Input/output error"):
        survey_file(path, limits, lambda *_: None)


def with_units(nwbfile):
    """Three units with all that may stand beside spike times, on electrodes with a series."""
    group = nwbfile.create_electrode_group("g", "shank", "CA1", nwbfile.create_device("probe"))
    for n in range(3):
        nwbfile.add_electrode(x=1.0 + n, y=2.0, z=3.0, location=f"CA{n}", group=group)
    nwbfile.add_unit_column("quality", "text")
    nwbfile.add_unit_column("depth", "number")
    nwbfile.add_unit_column("amplitudes", "one a spike", index=True)
    for n in range(3):
        nwbfile.add_unit(
            spike_times=np.arange(5.0) + n / 10, obs_intervals=[[0.0, 9.0]], electrodes=[n],
            electrode_group=group, quality="good", depth=float(n), amplitudes=np.arange(5.0),
            waveform_mean=np.ones((4, 2)), waveforms=np.ones((5, 1, 4)),
        )  # fmt: skip
    region = nwbfile.create_electrode_table_region([0, 1, 2], "all")
    nwbfile.add_acquisition(
        pynwb.ecephys.ElectricalSeries(
            name="lfp", data=np.ones((9, 3)) * np.arange(9.0)[:, None], electrodes=region, rate=9.0,
            channel_conversion=[1.0, 2.0, 3.0],
        )
    )  # fmt: skip
    return nwbfile


def damaged_units(new_file, save_zarr, array: str):
    path = save_zarr(with_units(new_file()))
    chunks = [file for file in (path / array / "c").rglob("*") if file.is_file()]
    assert chunks
    for chunk in chunks:
        chunk.write_bytes(b"no zstd at all")
    with read_recording(path, SETTINGS) as opened:
        report = check_streams(opened.streams, SETTINGS, opened.assumed_equal)
        left = without_unreadable(opened.streams, report.unreadable)
        return left.load(), [*opened.findings, *report.findings]


ELECTRODES = "general/extracellular_ephys/electrodes"


@pytest.mark.parametrize(
    "array",
    [
        *(f"units/{name}" for name in ("quality", "depth", "amplitudes", "amplitudes_index",
            "waveform_mean", "waveforms", "waveforms_index", "obs_intervals", "electrodes",
            "electrodes_index", "id")),
        *(f"{ELECTRODES}/{name}" for name in ("x", "location", "id")),
    ],
)  # fmt: skip
def test_a_damaged_column_of_units_or_electrodes_costs_itself(new_file, save_zarr, array):
    streams, findings = damaged_units(new_file, save_zarr, array)
    assert set(streams.children) == {"units", "lfp"}
    assert streams["units"].sizes["spike"] == 15
    told = {(f.code, f.severity, f.repair) for f in findings if "damaged" in f.what}
    assert told == {("column_unreadable", "error", "The column is left out.")}
    places = {f.where for f in findings if "damaged" in f.what}
    assert all(place.removesuffix("_index") in array.removesuffix("_index") for place in places)


@pytest.mark.parametrize(
    ("array", "lost"),
    [
        ("units/spike_times", "units"),
        ("units/spike_times_index", "units"),
        ("acquisition/lfp/data", "lfp"),
        ("acquisition/lfp/channel_conversion", "lfp"),
    ],
)
def test_what_a_stream_cannot_do_without_costs_the_stream(new_file, save_zarr, array, lost):
    streams, findings = damaged_units(new_file, save_zarr, array)
    assert set(streams.children) == {"units", "lfp"} - {lost}
    assert [(f.code, f.where) for f in findings if "damaged" in f.what] == [
        ("stream_unreadable", array)
    ]
