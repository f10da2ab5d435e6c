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
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import note_operation, text_variable

FEATURES = ("motion_energy", "brightness", "contrast", "focus")
IMAGE = "image"
"""Variable of pictures kept inside the recording."""
IMAGES_AT_ONCE = 64
REPORT_EVERY = 500
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
    measured, reason = _measure_all(name, stream, settings.video.width)
    # Pictures kept inside the recording stay in the parent artifact.
    stream = stream.drop_vars(IMAGE, errors="ignore").assign_attrs(
        frames_in_video=len(measured), frames_in_recording=len(clock.time)
    )
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


def _measure_all(name: str, stream: xr.Dataset, width: int) -> tuple[NDArray[np.float32], str]:
    """Return the features of all frames, (frame, feature), or why there are none.

    A video that breaks off (a copy cut short) gives the frames before the break.
    """
    files = [Path(path) for path in json.loads(stream.attrs.get("files", "[]"))]
    reason = "the video has no frames"
    if missing := [path.name for path in files if not path.is_file()]:
        files, reason = [], f"{', '.join(missing)} not found"
    elif not files and IMAGE not in stream:
        reason = "the recording names no video file"
    frames = read_images(stream[IMAGE], width) if IMAGE in stream else _read_files(files, width)
    rows: list[NDArray[np.float32]] = []
    try:
        for row in measure_frames(frames):
            rows.append(row)
            if len(rows) % REPORT_EVERY == 0:
                total = max(stream.sizes["time"], len(rows))
                report_progress(f"video {name}", len(rows), total)
    except av.FFmpegError as error:
        reason = f"the video cannot be decoded ({error})"
    return (np.stack(rows), "") if rows else (np.zeros((0, len(FEATURES)), np.float32), reason)


def _read_files(files: Sequence[Path], width: int) -> Iterator[Frame]:
    for path in files:
        yield from read_frames(path, width)


def read_images(images: xr.DataArray, width: int) -> Iterator[Frame]:
    """Yield pictures kept inside the recording, (time, width, height[, colour]), in grey levels.

    Every n-th pixel is taken, so that about `width` are left.
    """
    step = max(images.shape[1] // width, 1)
    for first in range(0, len(images), IMAGES_AT_ONCE):
        block = images[first : first + IMAGES_AT_ONCE, ::step, ::step].values.astype(np.float32)
        grey = block if block.ndim == 3 else block[..., :3].mean(-1)
        yield from grey


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
