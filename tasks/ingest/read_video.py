"""Reader of video: ImageSeries with frames in files beside the NWB file, or inside it.

Attributes of a video stream, all JSON lists with one entry a file:

    external_file    paths as the NWB file writes them, relative to itself
    files            absolute paths; of one that is not there, where it should be
    starting_frame   index of the first frame of each file
    frames           "external", "internal" or "missing" (a plain word)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tasks.ingest.clocks import NO_RATE, read_clock
from tasks.ingest.kinds import series_kind
from tasks.ingest.lazy import LazyArray, lazy_variable
from tasks.ingest.lazy_views import FirstRows, RegularAxis
from tasks.ingest.names import fallback_name, stream_name
from tasks.ingest.objects import NwbObject, ReadContext, Stream
from tasks.ingest.sampled import group_attrs, scaled_columns
from tasks.ingest.sidecars import (
    candidates,
    count_frames,
    expected_path,
    is_remote,
    resolve_sidecar,
)

NO_BEHAVIOUR = {
    "TwoPhotonSeries": "a raw imaging movie",
    "OnePhotonSeries": "a raw imaging movie",
    "ImageMaskSeries": "a mask for other images",
    "OpticalSeries": "stimulus images",
}


class VideoReader:
    """ImageSeries filmed during the session."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim ImageSeries that the settings do not make something else."""
        return found.is_a("ImageSeries") and series_kind(found, context) == "video"

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one video stream: the time and index of each frame, and where the frames are."""
        reason = _no_behaviour(found, context)
        if reason and not context.raw:
            context.note(
                "left_in_file",
                "info",
                f"{found.type_name} is {reason}, not a video of the animal; it stays in the file.",
                found.path,
                "Give it the kind 'video' in the 'kinds' setting to read it anyway.",
            )
            return
        external = found.field("external_file")
        if external is not None and len(external):
            yield from _external(found, [str(path) for path in external[:]], context)
        else:
            yield from _internal(found, context)


def _no_behaviour(found: NwbObject, context: ReadContext) -> str:
    """Return why an ImageSeries is no video of the animal; "" if it may be one."""
    if context.kind_set_for(found.path) == "video":
        return ""
    if found.path.startswith("stimulus/"):
        return "stimulus images"
    return next((why for name, why in NO_BEHAVIOUR.items() if found.is_a(name)), "")


def _external(found: NwbObject, written: list[str], context: ReadContext) -> Iterator[Stream]:
    paths = [_locate(found, path, context) for path in written]
    there = [path for path in paths if path is not None]
    counted = [count_frames(path) for path in there] if len(there) == len(paths) else []
    _check_description(found, len(written), counted, context)
    in_files = sum(counted) if counted and all(counted) else None
    size = _stated_size(found) or in_files
    if size is None:
        what = "Neither the file nor its video says how many frames there are; it is left out."
        context.note("no_frames", "error", what, found.path, "Put the video beside the NWB file.")
        return
    clock = read_clock(found, size, context)
    if clock is None:
        return
    if in_files is not None and in_files != clock.size:
        context.note(
            "frames_disagree",
            "warning",
            f"{clock.size} frame times, but {in_files} frames in the video.",
            found.path,
            "Frames are matched to times from the start; check for dropped frames.",
            sample=min(clock.size, in_files),
            value=f"{in_files - clock.size:+,} frames",
        )
    expected = [expected_path(path, context.folder) for path in written]
    attrs = {
        "external_file": json.dumps(written),
        "files": json.dumps([str(path or expected[i]) for i, path in enumerate(paths)]),
        "starting_frame": json.dumps(_starting_frames(found, counted, len(written))),
        "frames": "external" if len(there) == len(paths) else "missing",
    }
    yield _video_stream(found, clock.times, clock.attrs(), attrs, {})


def _internal(found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    shape = np.shape(found.field("data"))
    if len(shape) not in (3, 4) or 0 in shape:
        what = f"The images have the shape {shape} and no file is named; the series is left out."
        context.note("empty_stream", "warning", what, found.path)
        return
    clock = read_clock(found, shape[0], context)
    if clock is None:
        return
    array = context.arrays.lazy(found.field("data"))
    size = min(shape[0], clock.size)
    if shape[0] != clock.size:
        what = f"{shape[0]} images but {clock.size} times; the first {size} of both are kept."
        context.note(
            "length_mismatch", "error", what, found.path, NO_RATE, sample=size,
            value=f"{shape[0]} and {clock.size}", repair="The surplus is left out.",
        )  # fmt: skip
    # A movie of volumes and a colour movie both have four axes.
    last = "depth" if found.is_a("TwoPhotonSeries", "OnePhotonSeries") else "colour"
    dims = ("time", "width", "height", last)[: len(shape)]
    images = scaled_columns(found, FirstRows(array, size), dims)
    times = FirstRows(clock.times, size)
    yield _video_stream(found, times, clock.attrs(), {"frames": "internal"}, {"image": images})


def _video_stream(
    found: NwbObject,
    times: LazyArray,
    clock_attrs: dict[str, Any],
    attrs: dict[str, Any],
    variables: dict[str, xr.Variable],
) -> Stream:
    index = lazy_variable(("time",), RegularAxis(0, 0.0, times.shape[0]))
    coords = xr.Coordinates({"time": lazy_variable(("time",), times, {"units": "s"})}, indexes={})
    all_attrs = {**group_attrs("video", found, "frame_index"), **clock_attrs, **attrs}
    dataset = xr.Dataset({"frame_index": index, **variables}, coords, all_attrs)
    return Stream(stream_name(found), fallback_name(found), dataset)


def _locate(found: NwbObject, written: str, context: ReadContext) -> Path | None:
    """Return a video's path, None with a finding if it is not there or may not be read."""
    if is_remote(written):
        what = f"The video '{written}' is on another machine and is not fetched."
        context.note("video_remote", "warning", what, found.path, "Put it beside the NWB file.")
        return None
    path = resolve_sidecar(written, context.folder, context.settings.safety.trusted_folders)
    if path is None and candidates(written, context.folder):
        context.note(
            "video_outside",
            "warning",
            f"The video '{written}' lies outside the recording's folder and is not opened.",
            found.path,
            "Put it beside the NWB file, or name its folder in ingest.safety.trusted_folders.",
        )
    elif path is None:
        context.note(
            "video_missing",
            "warning",
            f"The video '{written}' is not there.",
            found.path,
            "Put it there, or beside the NWB file, and ingest again; until then the stream has "
            "frame times but no frames.",
        )
    return path


def _check_description(
    found: NwbObject, files: int, counted: list[int], context: ReadContext
) -> None:
    """Note where an external ImageSeries contradicts itself, or its videos."""
    if found.text("format") not in ("external", ""):
        what = f"Frames are in external files, but the format is '{found.text('format')}'."
        context.note("format_not_external", "warning", what, found.path)
    starts = _stated_starts(found)
    if len(starts) != files or (len(starts) and starts[0] != 0) or np.any(np.diff(starts) <= 0):
        what = f"starting_frame is {starts.tolist()} for {files} file(s)."
        remedy = "It should hold one number a file, the first of them 0, each larger than the last."
        context.note("starting_frame_wrong", "warning", what, found.path, remedy)
    elif counted and all(counted) and starts.tolist() != _starting_frames(found, counted, files):
        what = f"starting_frame is {starts.tolist()}, but the files hold {counted} frames."
        remedy = "The counted frames are used; check that the files are in order."
        context.note("starting_frame_wrong", "warning", what, found.path, remedy)


def _stated_starts(found: NwbObject) -> np.ndarray:
    starts = found.field("starting_frame")
    return np.atleast_1d(np.asarray([] if starts is None else starts[:], dtype=np.int64))


def _starting_frames(found: NwbObject, counted: list[int], files: int) -> list[int]:
    """Return each file's first frame: as counted, as stated, or 0 for a single file."""
    if counted and all(counted):
        return [0, *np.cumsum(counted)[:-1].tolist()]
    starts = _stated_starts(found).tolist()
    return starts if len(starts) == files and starts[0] == 0 else [0] * files


def _stated_size(found: NwbObject) -> int | None:
    """Return the number of frames that the NWB file itself states."""
    timestamps = found.field("timestamps")
    if timestamps is not None:
        return len(timestamps)
    stated = found.field("num_samples")
    # A pynwb ImageSeries derives num_samples from its empty data where the file states none.
    return int(stated) if stated else None
