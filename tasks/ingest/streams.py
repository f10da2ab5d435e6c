"""All streams of an NWB file as one lazy tree, and a finding for whatever is no stream.

To read a further family of objects, write a StreamReader and put it into READERS; the first
reader that claims an object reads it with all that it holds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import xarray as xr

from schemas.errors import RecordingError
from tasks.ingest.damage import is_machine_error, unreadable
from tasks.ingest.names import settle_names
from tasks.ingest.objects import Container, NwbObject, ReadContext, Stream, StreamReader
from tasks.ingest.read_events import EventSeriesReader, EventsTableReader
from tasks.ingest.read_intervals import IntervalSeriesReader, IntervalsReader
from tasks.ingest.read_pose import PoseReader, PositionReader
from tasks.ingest.read_series import ElectricalReader, RoiReader, SeriesReader
from tasks.ingest.read_units import UnitsReader
from tasks.ingest.read_video import VideoReader

READERS: tuple[StreamReader, ...] = (
    UnitsReader(),
    RoiReader(),
    ElectricalReader(),
    PoseReader(),
    PositionReader(),
    IntervalsReader(),
    IntervalSeriesReader(),
    EventsTableReader(),
    EventSeriesReader(),
    VideoReader(),
    SeriesReader(),
)

DESCRIPTIONS = frozenset({
    "Subject", "Device", "DeviceModel", "ElectrodeGroup", "ElectrodesTable", "ImagingPlane",
    "OpticalChannel", "OptogeneticStimulusSite", "IntracellularElectrode", "LabMetaData",
    "Skeletons", "Skeleton", "EyeTracking", "PupilTracking", "CompassDirection", "Position",
    "BehavioralTimeSeries", "BehavioralEvents", "BehavioralEpochs", "Fluorescence", "DfOverF",
    "LFP", "FilteredEphys", "ProcessingModule", "NWBFile",
})  # fmt: skip
"""Types that describe the session or only hold others: read as attributes, or looked into."""

LEFT = {
    "ImageSegmentation": "ROI masks",
    "PlaneSegmentation": "ROI masks",
    "Images": "still images",
    "GrayscaleImage": "a still image",
    "RGBImage": "a still image",
    "RGBAImage": "a still image",
    "ScratchData": "scratch data",
    "SimultaneousRecordingsTable": "a table of recordings",
    "IntracellularRecordingsTable": "a table of recordings",
    "MotionCorrection": "motion correction",
    "CorrectedImageStack": "motion correction",
    "PoseTraining": "training frames of a tracker",
    "SourceVideos": "videos that a tracker was trained on",
    "EventWaveform": "spike waveforms",
    "ClusterWaveforms": "spike waveforms",
    "DynamicTable": "a table without times",
}
"""Types that are understood but have no place on a time axis: they stay in the file, by name."""


def read_streams(nwbfile: Container, context: ReadContext) -> xr.DataTree:
    """Return every stream of an open NWB file, lazily, as siblings under one root.

    Parameters
    ----------
    nwbfile : pynwb NWBFile, read from a file or made in memory
    context : settings, the factory of lazy arrays, and where findings go

    Returns
    -------
    A tree whose groups have no index yet (an index would read the times) and keep the file's
    order of samples, oddities included.
    """
    root = NwbObject("", nwbfile)
    streams = settle_names(list(_walk(root, context)))
    _note_same_rois(streams, context)
    return xr.DataTree.from_dict({f"/{name}": s.dataset for name, s in streams.items()})


def _note_same_rois(streams: Mapping[str, Stream], context: ReadContext) -> None:
    """Note where several calcium streams are of the same cells: raw, neuropil, deconvolved."""
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, stream in streams.items():
        if table := stream.dataset.attrs.get("rois"):
            same[table, *stream.dataset["unit"].values.tolist()].append(name)
    for (_, *units), names in same.items():
        if len(names) > 1:
            context.note(
                "same_rois",
                "warning",
                f"{', '.join(names)} are of the same {len(units)} ROIs: preprocess uses dF/F, else "
                "fluorescence, else deconvolved; two of one kind count as different units.",
                ", ".join(streams[name].dataset.attrs["source"] for name in names),
                "Name what is not to be used in the 'leave_out' setting.",
            )


def _walk(found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    for child in found.children():
        if any(fnmatchcase(child.path, pattern) for pattern in context.settings.leave_out):
            context.note("left_out", "info", "Left out by the settings.", child.path)
            continue
        reader = next((r for r in READERS if r.claims(child, context)), None)
        if reader is not None:
            yield from _read_safely(reader, child, context)
        else:
            yield from _look_into(child, context)


def _look_into(found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    """Say what an unclaimed object is, and look for streams inside it."""
    left = next((LEFT[name] for name in _lineage(found) if name in LEFT), None)
    if found.is_a(*DESCRIPTIONS):
        if not found.is_a("DynamicTable"):
            yield from _walk(found, context)
    elif left is not None:
        what = f"{found.type_name}: {left}, not a stream; it stays in the file."
        context.note("left_in_file", "info", what, found.path)
    else:
        what = f"No reader knows the type {found.type_name}; it stays in the file."
        remedy = "Objects inside it that are known are read."
        context.note("not_understood", "warning", what, found.path, remedy)
        yield from _walk(found, context)


def _lineage(found: NwbObject) -> list[str]:
    """Return the object's type and those it descends from, nearest first."""
    return [base.__name__ for base in type(found.container).__mro__]


def _read_safely(reader: StreamReader, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    """Read one object; one that breaks its reader must not take the others with it."""
    try:
        streams = list(reader.read(found, context))
    except RecordingError as error:
        context.findings.append(unreadable("stream", error, found.path))
        return
    except Exception as error:  # a hostile file may break h5py, hdmf or numpy in any way
        if is_machine_error(error):
            raise
        what = f"{found.type_name} cannot be read: {type(error).__name__}: {error}"
        repair = "It is left out."
        context.note("stream_unreadable", "error", what, found.path, repair=repair)
        return
    yield from streams
