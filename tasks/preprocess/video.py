"""Video: motion energy and its components, brightness, contrast, focus, embedding of each frame.

One pass over the film, with some hundred small frames in memory.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_behaviour import VideoFeatures
from schemas.settings.preprocess import PreprocessSettings
from tasks.common.digest import hash_file
from tasks.common.progress import report_progress
from tasks.preprocess.clock import Clock
from tasks.preprocess.components import Floats, MotionComponents
from tasks.preprocess.frames import Frame, read_files, read_images
from tasks.preprocess.stream import note_operation, text_variable

if TYPE_CHECKING:
    from tasks.preprocess.embedding import FrameEmbedding

FEATURES = ("motion_energy", "brightness", "contrast", "focus")
IMAGE = "image"
"""Variable of pictures kept inside the recording."""
REPORT_EVERY = 500


@dataclass(frozen=True)
class MeasuredFilm:
    """What was measured on a film.

    Attributes
    ----------
    features : (frame, feature) FEATURES
    scores : (frame, component) of the motion components
    embedded : (frame, component) of a network's features; no components without a network
    images : (component, row, column) these as pictures
    reason : why there are no frames; empty if there are
    """

    features: NDArray[np.float32]
    scores: Floats
    embedded: Floats
    images: Floats
    reason: str


def measure_video(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Measure each frame of the stream's video files, if they are there.

    `motion_energy` is the mean absolute change of grey level since the frame before (of 255),
    unknown at the start of each gapless stretch; `motion_0`, ... are the scores of its strongest
    spatial components, whose pictures are in `component_image`; `focus` is the variance of the
    Laplacian; see ibllib qc/camera.py. With the weights of a network, `embedding_0`, ... are the
    strongest components of its features (embedding.py). Frames are matched to times by
    `frame_index`; a time whose frame the video does not have is not valid. A stream without its
    video passes without features, with the reason in the attribute `no_features`.
    """
    clock = Clock(stream, settings.max_gap_periods)
    film = measure_film(name, stream, settings.video)
    # Pictures kept inside the recording stay in the parent artifact.
    stream = stream.drop_vars(IMAGE, errors="ignore").assign_attrs(
        frames_in_video=len(film.features), frames_in_recording=clock.size
    )
    if film.reason:
        none = xr.DataArray(np.zeros(clock.size, bool), dims="time")
        passed = stream.assign(valid=none).assign_attrs(no_features=film.reason, raw="frame_index")
        return note_operation(passed, "measure_frames", reason=film.reason)
    frame_index = np.asarray(stream["frame_index"].values, np.int64)
    value = _at_times(film, frame_index, clock.segment)
    labels = [
        *FEATURES,
        *(f"motion_{n}" for n in range(film.scores.shape[1])),
        *(f"embedding_{n}" for n in range(film.embedded.shape[1])),
    ]
    features = stream.assign_coords(channel=text_variable("channel", labels)).assign(
        value=(("time", "channel"), value, {"units": "grey levels"}),
        valid=(("time", "channel"), np.isfinite(value)),
    )
    if film.images.size:
        dims = ("component", "row", "column")
        features["component_image"] = (dims, film.images.astype(np.float32), {"units": "1"})
    features = features.assign_attrs(primary="value", raw="frame_index")
    done = settings.video.model_dump()
    if weights := settings.video.embedding_weights:
        done["embedding_sha256"] = hash_file(Path(weights))
    return note_operation(features, "measure_frames", **done)


def measure_film(name: str, stream: xr.Dataset, chosen: VideoFeatures) -> MeasuredFilm:
    """Measure all frames; a video that breaks off (a copy cut short) gives those before."""
    files = [Path(path) for path in json.loads(stream.attrs.get("files", "[]"))]
    reason = "the video has no frames"
    if missing := [path.name for path in files if not path.is_file()]:
        files, reason = [], f"{', '.join(missing)} not found"
    elif not files and IMAGE not in stream:
        reason = "the recording names no video file"
    inside = IMAGE in stream
    frames = read_images(stream[IMAGE], chosen.width) if inside else read_files(files, chosen.width)
    rows: list[NDArray[np.float32]] = []
    components, embedding = MotionComponents(chosen.components), _open_embedding(chosen)
    shape = (0, 0)
    try:
        for frame, row, moved in measure_frames(frames):
            rows.append(row)
            if embedding is not None:
                embedding.add(frame)
            if chosen.components:
                small = shrink(moved, chosen.component_width)
                shape = small.shape
                components.add(small.ravel())
            if len(rows) % REPORT_EVERY == 0:
                report_progress(f"video {name}", len(rows), max(stream.sizes["time"], len(rows)))
    except av.FFmpegError as error:
        reason = f"the video cannot be decoded ({error})"
    if not rows:
        none = np.zeros((0, 0))
        empty = np.zeros((0, len(FEATURES)), np.float32)
        return MeasuredFilm(empty, none, none, np.zeros((0, 0, 0)), reason)
    embedded = np.zeros((len(rows), 0)) if embedding is None else embedding.finish()
    scores, weights = components.finish() if chosen.components else (np.zeros((len(rows), 0)),) * 2
    images = weights.reshape(-1, *shape) if weights.size else np.zeros((0, 0, 0))
    return MeasuredFilm(np.stack(rows), scores, embedded, images, "")


def _open_embedding(chosen: VideoFeatures) -> "FrameEmbedding | None":
    if not chosen.embedding_weights:
        return None
    # Imported where it is needed: torch takes seconds, and this is off by default.
    from tasks.preprocess.embedding import FrameEmbedding

    return FrameEmbedding(Path(chosen.embedding_weights), chosen.embedding_components)


def measure_frames(
    frames: Iterator[Frame],
) -> Iterator[tuple[Frame, NDArray[np.float32], Frame]]:
    """Yield each frame, its features and its change since the last; holds these two.

    The change of the first frame is 0, its motion energy NaN.
    """
    before: Frame | None = None
    for frame in frames:
        moved = np.zeros_like(frame) if before is None else np.abs(frame - before)
        energy = np.nan if before is None else float(moved.mean())
        row = np.array([energy, frame.mean(), frame.std(), _focus(frame)], np.float32)
        yield frame, row, moved
        before = frame


def shrink(frame: Frame, width: int) -> Frame:
    """Return the mean of squares of pixels, so that about `width` columns are left."""
    side = max(frame.shape[1] // width, 1)
    rows, columns = (size // side for size in frame.shape)
    if not rows:
        return frame
    squares = frame[: rows * side, : columns * side].reshape(rows, side, columns, side)
    mean: Frame = squares.mean((1, 3))
    return mean


def _focus(frame: Frame) -> float:
    if min(frame.shape) < 3:
        return 0.0
    middle = frame[1:-1, 1:-1]
    around = frame[:-2, 1:-1] + frame[2:, 1:-1] + frame[1:-1, :-2] + frame[1:-1, 2:]
    return float((around - 4 * middle).var())


def _at_times(
    film: MeasuredFilm, frame_index: NDArray[np.int64], segment_T: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return the features at each time of the stream, NaN where the video has no such frame."""
    measured = np.column_stack([film.features, film.scores, film.embedded]).astype(np.float32)
    there = (frame_index >= 0) & (frame_index < len(measured))
    value = np.full((len(frame_index), measured.shape[1]), np.nan, np.float32)
    value[there] = measured[frame_index[there]]
    # The change since the frame before is no motion if frames are missing between.
    follows = np.diff(frame_index, prepend=-2) == 1
    follows[1:] &= segment_T[1:] == segment_T[:-1]
    moving = [0, *range(len(FEATURES), len(FEATURES) + film.scores.shape[1])]
    value[np.ix_(~follows, moving)] = np.nan
    return value
