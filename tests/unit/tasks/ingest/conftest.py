"""Small NWB files made for the tests of the ingest stage."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pynwb
import pytest
import xarray as xr
from pynwb.behavior import (
    BehavioralEvents,
    BehavioralTimeSeries,
    CompassDirection,
    EyeTracking,
    Position,
    PupilTracking,
    SpatialSeries,
)
from pynwb.event import EventsTable
from pynwb.file import Subject
from pynwb.image import ImageSeries

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

COMMON_UNITS = {"volts": "V", "seconds": "s", "watts": "W", "meters": "m", "radians": "rad",
                "degrees": "deg", "\N{DEGREE SIGN}": "deg", "second": "s",
                "amperes": "A"}  # fmt: skip

NewFile = Callable[..., pynwb.NWBFile]
Save = Callable[[pynwb.NWBFile, str], Path]


@pytest.fixture
def new_file() -> NewFile:
    """Return a function that makes an empty NWBFile of one mouse."""

    def make(**fields: Any) -> pynwb.NWBFile:
        settings = {
            "session_description": "made by a test",
            "identifier": str(uuid4()),
            "session_start_time": START,
            "session_id": "s1",
            "subject": Subject(subject_id="m1", species="Mus musculus", age="P90D", sex="F"),
        }
        return pynwb.NWBFile(**{**settings, **fields})

    return make


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that writes an NWBFile below the test's own folder."""

    def write(nwbfile: pynwb.NWBFile, name: str = "session.nwb") -> Path:
        path = tmp_path / name
        with pynwb.NWBHDF5IO(str(path), "w") as io:
            io.write(nwbfile)
        return path

    return write


@pytest.fixture
def save_zarr(tmp_path: Path) -> Save:
    """Return a function that writes an NWBFile to a Zarr folder."""

    def write(nwbfile: pynwb.NWBFile, name: str = "recording.nwb.zarr") -> Path:
        from hdmf_zarr import NWBZarrIO

        path = tmp_path / name
        with warnings.catch_warnings():
            # hdmf-zarr's own remarks on consolidated metadata and text.
            warnings.simplefilter("ignore")
            with NWBZarrIO(str(path), "w") as io:
                io.write(nwbfile)
        return path

    return write


@pytest.fixture
def rich_file(new_file: NewFile) -> NewFile:
    """Return a function that makes a file with one stream of nearly every family."""

    def make(**fields: Any) -> pynwb.NWBFile:
        nwbfile = new_file(**fields)
        rng = np.random.default_rng(7)
        _add_units(nwbfile, rng)
        _add_calcium(nwbfile, rng)
        _add_voltages(nwbfile, rng)
        _add_behaviour(nwbfile, rng)
        _add_tables(nwbfile)
        return nwbfile

    return make


def _add_units(nwbfile: pynwb.NWBFile, rng: np.random.Generator) -> None:
    nwbfile.add_unit_column("label", "name of the unit")
    nwbfile.add_unit_column("depth", "depth in um")
    for unit, count in enumerate((20, 0, 7)):
        spikes = np.sort(rng.uniform(0, 10, count))
        nwbfile.add_unit(
            spike_times=spikes, obs_intervals=[[0.0, 10.0]], label=f"cell{unit}", depth=10.0 * unit
        )


def _add_calcium(nwbfile: pynwb.NWBFile, rng: np.random.Generator) -> None:
    device = nwbfile.create_device("microscope")
    channel = pynwb.ophys.OpticalChannel(name="c", description="c", emission_lambda=510.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="plane",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP",
        location="V1",
    )
    module = nwbfile.create_processing_module("ophys", "imaging")
    segmentation = pynwb.ophys.ImageSegmentation()
    module.add(segmentation)
    table = segmentation.create_plane_segmentation(description="rois", imaging_plane=plane)
    for _ in range(4):
        table.add_roi(pixel_mask=[(1, 1, 1.0)])
    region = table.create_roi_table_region(region=[3, 1], description="two of four")
    dff = pynwb.ophys.DfOverF()
    module.add(dff)
    series = pynwb.ophys.RoiResponseSeries(
        name="RoiResponseSeries",
        data=rng.integers(-100, 100, (50, 2)).astype(np.int16),
        unit="a.u.",
        rois=region,
        conversion=0.5,
        offset=3.0,
        rate=5.0,
        starting_time=2.0,
    )
    dff.add_roi_response_series(series)


def _add_voltages(nwbfile: pynwb.NWBFile, rng: np.random.Generator) -> None:
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("g", "shank", "CA1", device)
    for _ in range(3):
        nwbfile.add_electrode(location="CA1", group=group)
    region = nwbfile.create_electrode_table_region([2, 0], "two of three")
    nwbfile.add_acquisition(
        pynwb.ecephys.ElectricalSeries(
            name="lfp",
            data=rng.integers(-1000, 1000, (200, 2)).astype(np.int16),
            electrodes=region,
            rate=100.0,
            conversion=1e-6,
            channel_conversion=[1.0, 2.0],
            offset=0.001,
        )
    )


def _add_behaviour(nwbfile: pynwb.NWBFile, rng: np.random.Generator) -> None:
    module = nwbfile.create_processing_module("behavior", "behaviour")
    time = np.arange(40) / 4
    paws = [
        SpatialSeries(name=name, data=rng.random((40, 2)), timestamps=time, reference_frame="box")
        for name in ("left", "right")
    ]
    gaze = SpatialSeries(name="gaze", data=rng.random((40, 2)), rate=4.0, reference_frame="eye")
    heading = SpatialSeries(
        name="SpatialSeries", data=rng.random(40), rate=4.0, unit="radians", reference_frame="room"
    )
    pupil = pynwb.TimeSeries(name="area", data=rng.random(40), unit="mm2", timestamps=time)
    speed = pynwb.TimeSeries(name="speed", data=rng.random(40), unit="cm/s", timestamps=time)
    lick = pynwb.TimeSeries(name="licks", data=np.ones(3), unit="n.a.", timestamps=[1.0, 2.0, 4.0])
    module.add(Position(spatial_series=paws))
    module.add(EyeTracking(spatial_series=gaze))
    module.add(CompassDirection(spatial_series=heading))
    module.add(PupilTracking(time_series=pupil))
    module.add(BehavioralTimeSeries(time_series=speed))
    with pytest.warns(UserWarning, match="BehavioralEvents is deprecated"):
        module.add(BehavioralEvents(time_series=lick))
    sound = pynwb.TimeSeries(name="microphone", data=rng.random(100), unit="V", rate=10.0)
    nwbfile.add_acquisition(sound)
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="analog", data=rng.random((100, 2, 3)), unit="V", rate=10.0)
    )
    nwbfile.add_acquisition(
        ImageSeries(
            name="camera",
            external_file=["camera.mp4"],
            format="external",
            timestamps=np.arange(5) / 10,
            starting_frame=[0],
        )
    )


def _add_tables(nwbfile: pynwb.NWBFile) -> None:
    nwbfile.add_trial_column("choice", "left or right")
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, choice="left")
    nwbfile.add_trial(start_time=2.0, stop_time=3.0, choice="right")
    nwbfile.add_invalid_time_interval(start_time=5.0, stop_time=6.0)
    table = EventsTable(name="rewards", description="unsorted on purpose")
    table.add_column(name="size", description="ul")
    for timestamp, size in ((3.0, 5), (1.0, 2), (2.0, 9)):
        table.add_event(timestamp=timestamp, size=size)
    nwbfile.add_events_table(table)


@pytest.fixture(scope="session")
def compare_with_pynwb() -> Callable[[xr.DataTree, pynwb.NWBFile], int]:
    """Return a function that asserts that each stream holds what pynwb reads at its source.

    It works the values out from data, conversion and offset as the NWB schema defines them, and
    returns how many streams it compared.
    """

    def compare(tree: xr.DataTree, nwbfile: pynwb.NWBFile) -> int:
        objects = {_path(o): o for o in nwbfile.objects.values()}
        for node in tree.children.values():
            stream = node.to_dataset(inherit=False)
            source = objects[stream.attrs["source"]]
            _COMPARE.get(stream.attrs["stream_kind"], _compare_series)(stream, source)
        return len(tree.children)

    return compare


def _path(container: Any) -> str:
    return container.get_read_io().manager.get_builder(container).path.removeprefix("root/")


def _times(series: Any, size: int) -> np.ndarray:
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:])[:size]
    return np.ravel(series.starting_time)[0] + np.arange(size) / np.ravel(series.rate)[0]


def _scaled(series: Any) -> np.ndarray:
    data = np.asarray(series.data[:])
    gains = getattr(series, "channel_conversion", None)
    if gains is not None:
        data = data * np.asarray(gains[:])
    return data * series.conversion + (series.offset or 0.0)


def _same_unit(variable: xr.DataArray, series: Any) -> None:
    # xarray would read "seconds" as a duration: the common units come as their symbols.
    assert variable.attrs["units"] == COMMON_UNITS.get(series.unit.lower(), series.unit)


def _compare_series(stream: xr.Dataset, series: Any) -> None:
    values = stream[stream.attrs["primary"]]
    expected = _scaled(series)
    np.testing.assert_array_equal(stream["time"], _times(series, len(values)))
    np.testing.assert_allclose(values, expected.reshape(values.shape), rtol=1e-6)
    _same_unit(values, series)
    region = getattr(series, "electrodes", None) or getattr(series, "rois", None)
    if region is not None:
        _compare_columns(stream, region.table, np.asarray(region.data[:]))


def _compare_columns(stream: xr.Dataset, table: Any, rows: np.ndarray) -> None:
    """Compare the flat columns of a table that came along."""
    for column in table.columns:
        if column.name in stream.variables and type(column).__name__ != "VectorIndex":
            # A reference, such as to an electrode group, comes as its name.
            expected = [getattr(value, "name", value) for value in np.asarray(column[:])[rows]]
            np.testing.assert_array_equal(stream[column.name], expected)


def _compare_pose(stream: xr.Dataset, container: Any) -> None:
    if "SpatialSeries" in {base.__name__ for base in type(container).__mro__}:
        series = {container.name: container}
    else:
        series = getattr(container, "pose_estimation_series", None) or container.spatial_series
    assert len(series) == stream.sizes["keypoint"] * stream.sizes["individual"]
    names = {
        name: (keypoint, individual)
        for keypoint in stream["keypoint"].values
        for individual in stream["individual"].values
        for name in (keypoint, f"{individual}_{keypoint}")
    }
    for one in series.values():
        keypoint, individual = names.get(one.name, ("body", "individual_0"))
        point = stream.sel(keypoint=keypoint, individual=individual)
        np.testing.assert_array_equal(point["position"], _scaled(one))
        np.testing.assert_array_equal(stream["time"], _times(one, stream.sizes["time"]))
        _same_unit(point["position"], one)
        if getattr(one, "confidence", None) is not None:
            np.testing.assert_array_equal(point["confidence"], one.confidence[:])


def _compare_units(stream: xr.Dataset, table: Any) -> None:
    owner = stream["unit_index"].values
    for unit in range(len(table.id)):
        own = stream["spike_time"].values[owner == unit]
        np.testing.assert_array_equal(own, table["spike_times"][unit])
        if "obs_intervals" in table.colnames:
            of_unit = stream["observed_unit"].values == unit
            spans = np.column_stack([stream["observed_start"], stream["observed_stop"]])[of_unit]
            np.testing.assert_array_equal(spans, table["obs_intervals"][unit])
    # Ragged, and thus of another length than the table.
    _compare_columns(
        stream.drop_vars("waveforms", errors="ignore"), table, np.arange(len(table.id))
    )


def _compare_intervals(stream: xr.Dataset, table: Any) -> None:
    if hasattr(table, "columns"):
        _compare_columns(stream.drop_vars("tags", errors="ignore"), table, np.arange(len(table.id)))
        return
    marks, times = np.asarray(table.data[:]), np.asarray(table.timestamps[:])
    np.testing.assert_array_equal(stream["start_time"], times[marks > 0])
    np.testing.assert_array_equal(stream["stop_time"], times[marks < 0])


def _compare_events(stream: xr.Dataset, source: Any) -> None:
    if hasattr(source, "columns"):
        np.testing.assert_array_equal(stream["event_time"], source["timestamp"][:])
        _compare_columns(stream, source, np.arange(len(source.id)))
        return
    times = getattr(source, "times", None)
    np.testing.assert_array_equal(
        stream["event_time"], _times(source, stream.sizes["event"]) if times is None else times[:]
    )
    if "label" in stream:
        assert stream["label"].values.tolist() == list(source.data[:])
    elif "value" in stream:
        given = source.features[:] if hasattr(source, "features") else _scaled(source)
        np.testing.assert_array_equal(stream["value"], given.reshape(stream["value"].shape))


def _compare_video(stream: xr.Dataset, series: Any) -> None:
    size = stream.sizes["time"]
    np.testing.assert_array_equal(stream["time"], _times(series, size))
    np.testing.assert_array_equal(stream["frame_index"], np.arange(size))
    if "image" in stream:
        np.testing.assert_allclose(stream["image"], _scaled(series), rtol=1e-6)


_COMPARE = {
    "pose": _compare_pose,
    "spikes": _compare_units,
    "intervals": _compare_intervals,
    "events": _compare_events,
    "video": _compare_video,
}
