"""Frames of a video, in order or at given places, a few in memory at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import xarray as xr
from numpy.typing import NDArray

Frame = NDArray[np.float32]
IMAGES_AT_ONCE = 64


def read_files(files: Sequence[Path], width: int) -> Iterator[Frame]:
    """Yield the frames of files that follow each other; see `read_frames`."""
    for path in files:
        yield from read_frames(path, width)


def read_frames(path: Path, width: int) -> Iterator[Frame]:
    """Yield the frames of a video in grey levels 0 to 255, scaled to `width` pixels, in order."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        picture.thread_type = "AUTO"
        size = _scaled(picture, width)
        for frame in container.decode(picture):
            yield _grey(frame, size)


def read_frames_at(path: Path, indices: Sequence[int], width: int) -> Iterator[Frame]:
    """Yield the frames at ascending indices: those that reading from the start would count so.

    Seeks to the key frame before each, then decodes up to it. Where a frame is comes from the
    times that the packets carry, read once without decoding, never from index / rate: files
    with a varying rate, or that start late, would give a neighbour.

    Raises
    ------
    IndexError
        The video has no such frame.
    """
    with av.open(str(path)) as container:
        times, keys = _index_packets(container)
        picture = container.streams.video[0]
        size = _scaled(picture, width)
        at = -1
        frames: Iterator[av.VideoFrame] = iter(())
        for index in indices:
            if not 0 <= index < len(times):
                raise IndexError(f"{path.name} has {len(times)} frames, no frame {index}")
            key = keys[max(int(np.searchsorted(keys, index, side="right")) - 1, 0)]
            if at < 0 or key > at:
                container.seek(int(times[key]), stream=picture, backward=True, any_frame=False)
                frames, at = iter(container.decode(picture)), -1
            for frame in frames:
                at = int(np.searchsorted(times, frame.pts))
                if at >= index:
                    yield _grey(frame, size)
                    break


def _index_packets(
    container: av.container.InputContainer,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when each frame is shown, ascending, and which of them are key frames."""
    packets = [p for p in container.demux(video=0) if p.pts is not None]
    times = np.array([packet.pts for packet in packets], np.int64)
    order = np.argsort(times, kind="stable")  # frames may be stored in another order than shown
    keys = np.flatnonzero(np.array([packet.is_keyframe for packet in packets], bool)[order])
    return times[order], keys if keys.size else np.zeros(1, np.int64)


def read_images(images: xr.DataArray, width: int) -> Iterator[Frame]:
    """Yield pictures kept inside the recording, (time, width, height[, colour]), in grey levels.

    Every n-th pixel is taken, so that about `width` are left.
    """
    step = max(images.shape[1] // width, 1)
    for first in range(0, len(images), IMAGES_AT_ONCE):
        block = images[first : first + IMAGES_AT_ONCE, ::step, ::step].values.astype(np.float32)
        grey = block if block.ndim == 3 else block[..., :3].mean(-1)
        yield from grey


def _scaled(picture: av.VideoStream, width: int) -> tuple[int, int]:
    context = picture.codec_context
    wide = min(width, context.width)
    return wide, max(round(context.height * wide / context.width), 1)


def _grey(frame: av.VideoFrame, size: tuple[int, int]) -> Frame:
    grey = frame.reformat(width=size[0], height=size[1], format="gray", interpolation="AREA")
    made: Frame = grey.to_ndarray().astype(np.float32)
    return made
