"""Video features of a small film made here."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file
from torch.nn import functional

from schemas.errors import SettingsError
from schemas.settings.clean_behaviour import VideoFeatures
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.embedding import MEAN_C, SPREAD_C, embed_frames
from tasks.preprocess.quality import measure_quality
from tasks.preprocess.video import measure_video

FRAMES = 40


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an mp4 whose grey level steps up by 100 at frame 20."""
    path = tmp_path_factory.mktemp("film") / "camera.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 20)
        for n in range(FRAMES):
            grey = np.full((48, 64, 3), 50 if n < 20 else 150, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def video_stream(files: list[Path], times: int = FRAMES) -> xr.Dataset:
    return xr.Dataset(
        {"frame_index": ("time", np.arange(times))},
        {"time": ("time", np.arange(times) / 20, {"units": "s"})},
        {
            "stream_kind": "video",
            "source": "/acquisition/camera",
            "primary": "frame_index",
            "files": json.dumps([str(f) for f in files]),
        },
    )


def test_motion_energy_sees_the_change_and_nothing_else(film: Path) -> None:
    measured = measure_video("camera", video_stream([film]), PreprocessSettings())
    features = measured["value"].to_dataset("channel")
    assert np.nanargmax(features["motion_energy"].values) == 20
    assert float(features["motion_energy"][20]) == pytest.approx(100, abs=5)
    assert float(features["motion_energy"].isel(time=slice(22, None)).max()) < 2
    assert float(features["brightness"][5]) == pytest.approx(50, abs=3)
    assert float(features["brightness"][35]) == pytest.approx(150, abs=3)
    assert measured["valid"].values[1:].all()
    # The change at the first frame is unknown, and so is the one component of the film.
    assert measured["valid"].values[0].tolist() == [False, True, True, True, False]


def weights_of_resnet(path: Path, seed: int = 0) -> Path:
    """Write small weights under the names of torchvision's resnet18, four channels wide."""
    make = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}

    def convolution(name: str, norm: str, *shape: int) -> None:
        weights[f"{name}.weight"] = torch.randn(shape, generator=make)
        for key, value in (("running_mean", 0), ("running_var", 1), ("weight", 1), ("bias", 0)):
            weights[f"{norm}.{key}"] = torch.full((shape[0],), float(value))

    convolution("conv1", "bn1", 4, 3, 7, 7)
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            convolution(f"{name}.conv1", f"{name}.bn1", 4, 4, 3, 3)
            convolution(f"{name}.conv2", f"{name}.bn2", 4, 4, 3, 3)
            if layer > 1 and block == 0:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", 4, 4, 1, 1)
    save_file(weights, path)
    return path


def test_frames_are_embedded_by_weights_on_disk(film: Path, tmp_path: Path) -> None:
    path = weights_of_resnet(tmp_path / "net.safetensors")
    chosen = VideoFeatures(embedding_weights=str(path), embedding_components=2)
    settings = PreprocessSettings(video=chosen)
    measured = measure_video("camera", video_stream([film]), settings)
    plain = measure_video("camera", video_stream([film]), PreprocessSettings())
    labels = measured["channel"].values.tolist()
    assert labels == [*plain["channel"].values.tolist(), "embedding_0", "embedding_1"]
    first = measured["value"][:, labels.index("embedding_0")].values
    # Dark frames, then bright ones: the strongest component tells them apart.
    assert np.isfinite(first).all()
    assert abs(first[:20].mean() - first[20:].mean()) > 20 * max(first[:20].std(), first[20:].std())
    assert "embedding_sha256" in measured.attrs["provenance"]


def test_a_network_without_residuals_is_its_stem(tmp_path: Path) -> None:
    """With blocks that add nothing and skips that pass, what is left has a short formula."""
    weights = load_file(weights_of_resnet(tmp_path / "net.safetensors"))
    for name in weights:
        if name.endswith(("bn2.weight", "bn2.bias")):
            weights[name].zero_()
        elif name.endswith("downsample.0.weight"):
            weights[name].copy_(torch.eye(4)[:, :, None, None])
    grey = np.random.default_rng(0).uniform(0, 255, (3, 64, 64)).astype(np.float32)
    colour = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1) / 255
    mean, spread = (torch.tensor(x)[:, None, None] for x in (MEAN_C, SPREAD_C))
    stem = functional.conv2d((colour - mean) / spread, weights["conv1.weight"], None, 2, 3)
    stem = functional.max_pool2d((stem / (1 + 1e-5) ** 0.5).relu(), 3, 2, 1)
    expected = stem[:, :, ::8, ::8].mean((2, 3))
    np.testing.assert_allclose(embed_frames(weights, grey), expected, rtol=1e-4)
    np.testing.assert_allclose(embed_frames(weights, grey[1:2]), expected[1:2], rtol=1e-4)


@pytest.mark.parametrize("content", [None, b"no weights", "another network"])
def test_weights_that_are_none_are_refused(film: Path, tmp_path: Path, content: object) -> None:
    path = tmp_path / "net.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_file({"conv1.weight": torch.zeros(4, 3, 7, 7)}, path)
    settings = PreprocessSettings(video=VideoFeatures(embedding_weights=str(path)))
    with pytest.raises(SettingsError, match="the weights"):
        measure_video("camera", video_stream([film]), settings)


def test_two_files_are_one_film(film: Path) -> None:
    stream = video_stream([film, film], 2 * FRAMES)
    measured = measure_video("camera", stream, PreprocessSettings())
    assert measured.attrs["frames_in_video"] == 2 * FRAMES
    assert measured["valid"].values[1:].all()


def test_times_without_a_frame_are_not_valid_and_reported(film: Path) -> None:
    measured = measure_video("camera", video_stream([film], FRAMES + 8), PreprocessSettings())
    assert not measured["valid"].values[FRAMES:].any()
    tree = xr.DataTree.from_dict({"/camera": measured})
    mismatch = next(m for m in measure_quality(tree) if m.name == "frame_mismatch:camera")
    assert mismatch.verdict == "warn"
    assert "48 frame times, 40 frames" in mismatch.note


def test_motion_energy_is_unknown_after_dropped_frames(film: Path) -> None:
    stream = video_stream([film], 30).assign(
        frame_index=("time", np.r_[np.arange(10), np.arange(15, 35)])
    )
    measured = measure_video("camera", stream, PreprocessSettings())
    assert np.flatnonzero(~measured["valid"].values[:, 0]).tolist() == [0, 10]


def test_a_missing_film_leaves_a_reason(tmp_path: Path) -> None:
    stream = video_stream([tmp_path / "gone.mp4"])
    measured = measure_video("camera", stream, PreprocessSettings())
    assert measured.attrs["no_features"] == "gone.mp4 not found"
    assert not measured["valid"].any()
    assert "value" not in measured


def test_a_broken_film_leaves_a_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film at all" * 100)
    measured = measure_video("camera", video_stream([broken]), PreprocessSettings())
    assert "cannot be decoded" in measured.attrs["no_features"]


def test_pictures_inside_the_recording_are_measured_and_left_there() -> None:
    pictures = np.zeros((FRAMES, 32, 24, 3), np.uint8)
    pictures[20:] = 90
    stream = video_stream([]).assign(image=(("time", "width", "height", "colour"), pictures))
    measured = measure_video("camera", stream.chunk({"time": 7}), PreprocessSettings())
    assert "image" not in measured
    assert float(measured["value"].values[20, 0]) == 90
