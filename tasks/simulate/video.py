"""The camera: a film of the body moving through its arena, encoded as a real mp4."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.behaviour import Body, to_pixels

BATCH = 256
_BODY_CM = (4.5, 2.2)
_HEAD_CM = (2.2, 1.5)
_HEAD_AHEAD_CM = 4.5


def film_body(
    body: Body, settings: SimulateSettings, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Yield grey frames (row, column): a dark animal on a light, faintly textured floor."""
    size = settings.video_size
    floor_HW = 190 + rng.normal(0, 4, (size, size)).astype(np.float32)
    scale = float(np.abs(np.diff(to_pixels(np.eye(2), settings)[:, 0]))[0])
    center_F2 = to_pixels(body.center_F2, settings)
    ahead_F2 = np.stack([np.cos(body.heading_F), -np.sin(body.heading_F)], axis=1)
    head_F2 = center_F2 + scale * _HEAD_AHEAD_CM * ahead_F2
    for start in range(0, len(body.time_F), BATCH):
        part = slice(start, start + BATCH)
        shade_FHW = np.maximum(
            _ellipses(center_F2[part], ahead_F2[part], scale, _BODY_CM, size),
            _ellipses(head_F2[part], ahead_F2[part], scale, _HEAD_CM, size),
        )
        yield from (floor_HW * (1 - 0.8 * shade_FHW)).clip(0, 255).astype(np.uint8)


def encode_video(frames: Iterator[NDArray[np.uint8]], path: Path, rate_hz: float) -> int:
    """Encode grey frames as H.264 (MPEG-4 part 2 where it is absent); return their number."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    options = {"preset": "veryfast", "crf": "22"} if codec == "libx264" else {"q:v": "3"}
    count = 0
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=Fraction(rate_hz).limit_denominator(1000))
        stream.options = options
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # threads cut the film at other places: other bytes
        for count, frame_HW in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = frame_HW.shape
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HW, format="gray")))
        film.mux(stream.encode(None))
    return count


def _ellipses(
    center_F2: NDArray[np.float64],
    ahead_F2: NDArray[np.float64],
    scale: float,
    semi_axes_cm: tuple[float, float],
    size: int,
) -> NDArray[np.float32]:
    """Return the coverage (frame, row, column), 0 to 1, of one ellipse a frame, soft at its rim."""
    pixel_P = np.arange(size, dtype=np.float32)
    right_FW = pixel_P - center_F2[:, :1].astype(np.float32)
    down_FH = pixel_P - center_F2[:, 1:].astype(np.float32)
    cos_F, sin_F = ahead_F2.astype(np.float32).T[:, :, None, None]
    long_FHW = right_FW[:, None] * cos_F + down_FH[:, :, None] * sin_F
    short_FHW = down_FH[:, :, None] * cos_F - right_FW[:, None] * sin_F
    long_px, short_px = (np.float32(scale * axis) for axis in semi_axes_cm)
    radius_FHW = np.sqrt((long_FHW / long_px) ** 2 + (short_FHW / short_px) ** 2)
    return np.asarray(np.clip((1.0 - radius_FHW) * short_px + 0.5, 0, 1), np.float32)
