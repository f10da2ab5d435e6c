"""Video: motion energy, brightness, contrast and focus of each frame, one frame in memory."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import PreprocessSettings
from tasks.common.progress import report_progress
from tasks.preprocess.stream import Clock, note_operation, text_variable

FEATURES = ("motion_energy", "brightness", "contrast", "focus")
Frame = NDArray[np.float32]


def measure_video(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Measure each frame of the stream's video files, if they are there.

    `motion_energy` is the mean absolute change of grey level since the frame before (of 255),
    unknown at the start of each gapless stretch; `focus` the variance of the Laplacian; see
    ibllib qc/camera.py. Frames are matched to times by `frame_index`; a time whose frame the
    video does not have is not valid. A stream without its video passes without features,
    with the reason in the attribute `no_features`.
    """
    clock = Clock(stream, settings.max_gap_periods)
    files = [Path(p) for p in json.loads(stream.attrs.get("files", "[]"))]
    measured, reason = _measure_files(name, files, settings.video.width, len(clock.time))
    stream = stream.assign_attrs(frames_in_video=len(measured), frames_in_recording=len(clock.time))
    if reason:
        none = xr.DataArray(np.zeros(len(clock.time), bool), dims="time")
        passed = stream.assign(valid=none).assign_attrs(no_features=reason, raw="frame_index")
        return note_operation(passed, "measure_frames", reason=reason)
    value = _at_times(measured, np.asarray(stream["frame_index"].values, np.int64), clock.segment)
    features = stream.assign_coords(channel=text_variable("channel", list(FEATURES))).assign(
        value=(("time", "channel"), value, {"units": "grey levels"}),
        valid=(("time", "channel"), np.isfinite(value)),
    )
    features = features.assign_attrs(primary="value", raw="frame_index")
    return note_operation(features, "measure_frames", **settings.video.model_dump())


def _measure_files(
    name: str, files: Sequence[Path], width: int, expected: int
) -> tuple[NDArray[np.float32], str]:
    """Return the features of all frames, (frame, feature), or why there are none."""
    nothing = np.zeros((0, len(FEATURES)), np.float32)
    if not files:
        return nothing, "the recording names no video file"
    if missing := [path.name for path in files if not path.is_file()]:
        return nothing, f"{', '.join(missing)} not found"
    rows = []
    try:
        for path in files:
            for row in measure_frames(read_frames(path, width)):
                rows.append(row)
                if len(rows) % 500 == 0:
                    report_progress(f"video {name}", len(rows), max(expected, len(rows)))
    except av.FFmpegError as error:
        if not rows:
            return nothing, f"the video cannot be decoded ({error})"
    return (np.stack(rows), "") if rows else (nothing, "the video has no frames")


def read_frames(path: Path, width: int) -> Iterator[Frame]:
    """Yield the frames of a video in grey levels 0 to 255, scaled to `width` pixels, in order."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        picture.thread_type = "AUTO"
        wide = min(width, picture.codec_context.width)
        high = max(round(picture.codec_context.height * wide / picture.codec_context.width), 1)
        for frame in container.decode(picture):
            grey = frame.reformat(width=wide, height=high, format="gray", interpolation="AREA")
            yield grey.to_ndarray().astype(np.float32)


def measure_frames(frames: Iterator[Frame]) -> Iterator[NDArray[np.float32]]:
    """Yield the features of each frame; holds this frame and the last."""
    before: Frame | None = None
    for frame in frames:
        moved = np.nan if before is None else float(np.abs(frame - before).mean())
        yield np.array([moved, frame.mean(), frame.std(), _focus(frame)], np.float32)
        before = frame


def _focus(frame: Frame) -> float:
    if min(frame.shape) < 3:
        return 0.0
    middle = frame[1:-1, 1:-1]
    around = frame[:-2, 1:-1] + frame[2:, 1:-1] + frame[1:-1, :-2] + frame[1:-1, 2:]
    return float((around - 4 * middle).var())


def _at_times(
    measured: NDArray[np.float32], frame_index: NDArray[np.int64], segment_T: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return the features at each time of the stream, NaN where the video has no such frame."""
    there = (frame_index >= 0) & (frame_index < len(measured))
    value = np.full((len(frame_index), len(FEATURES)), np.nan, np.float32)
    value[there] = measured[frame_index[there]]
    # The change since the frame before is no motion if frames are missing between.
    follows = np.diff(frame_index, prepend=-2) == 1
    follows[1:] &= segment_T[1:] == segment_T[:-1]
    value[~follows, 0] = np.nan
    return value
