"""Components of motion from one pass, and frames at given places."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.preprocess.components import BATCH, MotionComponents
from tasks.preprocess.frames import read_frames, read_frames_at


def test_one_pass_finds_what_a_full_decomposition_finds() -> None:
    rng = np.random.default_rng(0)
    frames = 3 * BATCH + 17
    scores = rng.normal(size=(frames, 3)) * [9.0, 5.0, 2.0]
    rows = scores @ rng.normal(size=(3, 50)) + rng.normal(size=(frames, 50)) * 0.01 + 4.0
    streamed = MotionComponents(3)
    for row in rows:
        streamed.add(row)
    made, weights = streamed.finish()
    centred = rows - rows.mean(0)
    left, strength, right = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs((weights * right[:3]).sum(1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(made), np.abs(left * strength)[:, :3], atol=1e-3)
    assert (weights[np.arange(3), np.abs(weights).argmax(1)] > 0).all()


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_few_frames_have_few_components(frames: int) -> None:
    streamed = MotionComponents(3)
    for _ in range(frames):
        streamed.add(np.zeros(8))
    scores, weights = streamed.finish()
    assert scores.shape[0] == (0 if not frames else scores.shape[0])
    assert np.isfinite(scores).all()
    assert np.isfinite(weights).all()


@pytest.fixture(scope="module")
def counting_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a film of 90 frames, each brighter than the last, with a key frame every 12."""
    path = tmp_path_factory.mktemp("film") / "count.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 32, 32, "yuv420p", 12
        stream.max_b_frames = 2
        for n in range(90):
            grey = np.full((32, 32, 3), 20 + 2 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_seeking_finds_the_frames_that_counting_finds(counting_film: Path) -> None:
    every = [*read_frames(counting_film, 32)]
    assert len(every) == 90
    places = [0, 1, 11, 12, 13, 40, 41, 83, 89]
    for place, frame in zip(places, read_frames_at(counting_film, places, 32), strict=True):
        np.testing.assert_array_equal(frame, every[place])
    with pytest.raises(IndexError, match="no frame 90"):
        next(read_frames_at(counting_film, [90], 32))
