"""Write a recording of any length whose streams are always the same, quickly."""

import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

LFP_HZ, LFP_CHANNELS = 2_500.0, 384
CALCIUM_HZ, CELLS = 30.0, 1_000
SOUND_HZ = 48_000.0
EYE_HZ, WHEEL_HZ, POSE_HZ = 200.0, 100.0, 60.0
SORTED, SPIKES_HZ = 200, 5.0
KEYPOINTS = ("snout", "spine", "tailbase")
BYTES_PER_S = LFP_HZ * LFP_CHANNELS * 2 + CALCIUM_HZ * CELLS * 4 + SOUND_HZ * 2
TILES = 4
DRIFT = 2e-5

Tile = Callable[[tuple[int, ...], np.random.Generator], NDArray[np.generic]]


def write_recording(path: Path, gigabytes: float) -> float:
    """Write an NWB file that holds about so many bytes of samples; return its length in seconds."""
    from pynwb import NWBHDF5IO

    seconds = gigabytes * 1e9 / BYTES_PER_S
    with NWBHDF5IO(path, "w") as io:
        io.write(_session(seconds))
    with h5py.File(path, "r+") as file:
        _repeat_tiles(file["acquisition/lfp/data"], _waves)
        _repeat_tiles(file["acquisition/microphone/data"], _waves)
        _repeat_tiles(file["processing/ophys/Fluorescence/cells/data"], _fluorescence)
    return seconds


def _session(seconds: float) -> object:
    """Return a session whose large arrays have a shape and no values yet."""
    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import NWBFile, TimeSeries
    from pynwb.ecephys import ElectricalSeries
    from pynwb.file import Subject

    file = NWBFile(
        session_description="generated to measure memory",
        identifier="memory",
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        subject=Subject(subject_id="memory", species="Mus musculus", sex="U", age="P90D"),
    )

    def empty(rate_hz: float, columns: int, rows: int, kind: str) -> H5DataIO:
        shape: tuple[int, ...] = (
            (int(seconds * rate_hz), columns) if columns else (int(seconds * rate_hz),)
        )
        chunks = (min(rows, shape[0]), min(columns, 64)) if columns else (min(rows, shape[0]),)
        return H5DataIO(shape=shape, dtype=np.dtype(kind), chunks=chunks, compression="gzip")

    electrodes = _electrodes(file)
    file.add_acquisition(
        ElectricalSeries(
            name="lfp",
            data=empty(LFP_HZ, LFP_CHANNELS, 10_000, "i2"),
            electrodes=electrodes,
            rate=LFP_HZ,
            starting_time=0.0,
            comments="[clock: probe]",
            conversion=2e-6,
        )
    )
    file.add_acquisition(
        TimeSeries(
            name="microphone",
            data=empty(SOUND_HZ, 0, 1_000_000, "i2"),
            unit="volts",
            conversion=1e-5,
            rate=SOUND_HZ,
            starting_time=0.0,
        )
    )
    _add_cells(file, empty(CALCIUM_HZ, CELLS, 5_000, "f4"))
    _add_behaviour(file, seconds)
    _add_spikes(file, seconds)
    _add_pulses(file, seconds)
    return file


def _electrodes(file: object) -> object:
    device = file.create_device("probe")
    group = file.create_electrode_group("shank", "all", "cortex", device)
    for _ in range(LFP_CHANNELS):
        file.add_electrode(group=group, location="cortex")
    return file.create_electrode_table_region(list(range(LFP_CHANNELS)), "all electrodes")


def _add_cells(file: object, data: object) -> None:
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel

    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=OpticalChannel(name="green", description="emission", emission_lambda=510.0),
        description="one plane",
        device=file.create_device("microscope"),
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="V1",
    )
    ophys = file.create_processing_module("ophys", "imaging")
    segmentation = ImageSegmentation()
    ophys.add(segmentation)
    table = segmentation.create_plane_segmentation("cells", plane)
    for cell in range(CELLS):
        table.add_roi(pixel_mask=[(cell % 256, cell // 256, 1.0)])
    fluorescence = Fluorescence()
    ophys.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="cells",
        data=data,
        rois=table.create_roi_table_region("all", region=list(range(CELLS))),
        unit="n.a.",
        rate=CALCIUM_HZ,
        starting_time=0.0,
    )


def _add_behaviour(file: object, seconds: float) -> None:
    from ndx_pose import PoseEstimation, PoseEstimationSeries
    from pynwb import TimeSeries
    from pynwb.behavior import PupilTracking

    rng = np.random.default_rng(0)
    behavior = file.create_processing_module("behavior", "behaviour")
    eye, pose = (np.arange(0, seconds, 1 / hz) for hz in (EYE_HZ, POSE_HZ))
    pupil = 3 + 0.1 * rng.standard_normal(len(eye))
    behavior.add(
        PupilTracking(
            name="pupil",
            time_series=TimeSeries(name="pupil_diameter", data=pupil, unit="mm", timestamps=eye),
        )
    )
    wheel = np.abs(rng.standard_normal(int(seconds * WHEEL_HZ)))
    behavior.add(
        TimeSeries(name="running_speed", data=wheel, unit="cm/s", rate=WHEEL_HZ, starting_time=0.0)
    )
    points = [
        PoseEstimationSeries(
            name=name,
            description=name,
            data=np.cumsum(rng.standard_normal((len(pose), 2)), axis=0),
            confidence=rng.random(len(pose)),
            reference_frame="top left",
            unit="pixels",
            timestamps=pose,
        )
        for name in KEYPOINTS
    ]
    behavior.add(PoseEstimation(name="body", pose_estimation_series=points))


def _add_spikes(file: object, seconds: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(SORTED):
        count = rng.poisson(SPIKES_HZ * seconds)
        file.add_unit(spike_times=np.sort(rng.uniform(0, seconds, count)))


def _add_pulses(file: object, seconds: float) -> None:
    """Add pulses that the session's clock and the probe's, which drifts, both saw."""
    from pynwb.event import EventsTable

    rng = np.random.default_rng(3)
    seen = 0.5 + np.cumsum(rng.uniform(0.7, 1.3, int(seconds) - 1))
    seen = seen[seen < seconds - 0.5]
    clocks = {"sync": (seen, ""), "probe_sync": (seen / (1 + DRIFT), " [clock: probe]")}
    for name, (times, clock) in clocks.items():
        pulses = EventsTable(name=name, description=f"[line: sync]{clock}")
        for at in times.tolist():
            pulses.add_event(timestamp=at)
        file.add_events_table(pulses)


def _repeat_tiles(dataset: h5py.Dataset, tile: Tile) -> None:
    """Fill a dataset with a few compressed chunks over and over, without reading or packing."""
    rng = np.random.default_rng(2)
    packed = [
        zlib.compress(np.ascontiguousarray(tile(dataset.chunks, rng), dataset.dtype).tobytes(), 1)
        for _ in range(TILES)
    ]
    grid = [range(0, size, step) for size, step in zip(dataset.shape, dataset.chunks, strict=True)]
    for row in grid[0]:
        for column in grid[1] if len(grid) > 1 else (None,):
            place = (row,) if column is None else (row, column)
            dataset.id.write_direct_chunk(place, packed[sum(place) // 64 % TILES])


def _waves(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.generic]:
    slow = 50 * np.sin(np.arange(shape[0]) / 50)
    return np.round(slow.reshape(-1, *(1,) * (len(shape) - 1)) + rng.integers(-8, 8, shape))


def _fluorescence(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.generic]:
    return 200 + np.round(rng.standard_normal(shape) * 8) / 4
