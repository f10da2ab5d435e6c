"""Frames as a network sees them: a residual network whose weights are on disk.

Residual networks of 18 to 152 layers (He et al. 2016, doi:10.1109/CVPR.2016.90) are read off the
names and shapes in a safetensors file, as torchvision and timm name them. No pickle is read.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from schemas.errors import SettingsError
from tasks.preprocess.components import Floats, MotionComponents
from tasks.preprocess.frames import Frame

Weights = dict[str, Tensor]
BATCH = 16
LAYERS = (1, 2, 3, 4)
MEAN_C, SPREAD_C = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, which such networks are trained on."""


class FrameEmbedding:
    """The strongest components of what a network makes of frames that come one by one."""

    def __init__(self, path: Path, count: int) -> None:
        self._weights = load_weights(path)
        self._components = MotionComponents(count)
        self._batch: list[Frame] = []

    def add(self, frame: Frame) -> None:
        """Take in the next frame, grey levels 0 to 255."""
        self._batch.append(frame)
        if len(self._batch) == BATCH:
            self._embed()

    def finish(self) -> Floats:
        """Return (frame, component), centred, the strongest first."""
        if self._batch:
            self._embed()
        return self._components.finish()[0]

    def _embed(self) -> None:
        for row in embed_frames(self._weights, np.stack(self._batch)):
            self._components.add(row)
        self._batch = []


def load_weights(path: Path) -> Weights:
    """Return the weights of a residual network.

    Raises
    ------
    SettingsError
        There is no such file, it is no safetensors file, or no such network.
    """
    what = "cannot be read"
    try:
        weights = {name: w.float() for name, w in load_file(path).items()}
        what = "are of no residual network"
        embed_frames(weights, np.zeros((1, 32, 32), np.float32))
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise SettingsError(
            f"the weights '{path}' {what}: {error}.",
            where="preprocess.video.embedding_weights",
            remedy="Name a safetensors file of a ResNet, such as timm's resnet18.",
        ) from error
    return weights


@torch.inference_mode()
def embed_frames(weights: Weights, grey_BHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (frame, feature): the last layer's features, averaged over the picture."""
    mean, spread = (torch.tensor(x)[:, None, None] for x in (MEAN_C, SPREAD_C))
    x_BCHW = (torch.from_numpy(grey_BHW)[:, None] / 255 - mean) / spread
    x_BCHW = _convolve(x_BCHW, weights, "conv1", "bn1", stride=2).relu()
    x_BCHW = functional.max_pool2d(x_BCHW, 3, 2, 1)
    for layer in LAYERS:
        block = 0
        while block == 0 or f"layer{layer}.{block}.conv1.weight" in weights:
            stride = 2 if layer > 1 and block == 0 else 1
            x_BCHW = _residual(x_BCHW, weights, f"layer{layer}.{block}", stride)
            block += 1
    embedded: NDArray[np.float32] = x_BCHW.mean((2, 3)).numpy()
    return embedded


def _residual(x_BCHW: Tensor, weights: Weights, block: str, stride: int) -> Tensor:
    """Return a block of two convolutions, or of three, the second of which makes steps then."""
    deep = f"{block}.conv3.weight" in weights
    y_BCHW = x_BCHW
    for n in (1, 2, 3) if deep else (1, 2):
        y_BCHW = y_BCHW if n == 1 else y_BCHW.relu()
        step = stride if n == (2 if deep else 1) else 1
        y_BCHW = _convolve(y_BCHW, weights, f"{block}.conv{n}", f"{block}.bn{n}", step)
    if f"{block}.downsample.0.weight" in weights:
        names = (f"{block}.downsample.0", f"{block}.downsample.1")
        x_BCHW = _convolve(x_BCHW, weights, *names, stride)
    return (x_BCHW + y_BCHW).relu()


def _convolve(x_BCHW: Tensor, weights: Weights, name: str, norm: str, stride: int) -> Tensor:
    """Return a convolution, normalised by what was learnt of its outputs."""
    kernel = weights[f"{name}.weight"]
    x_BCHW = functional.conv2d(x_BCHW, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, variance, gain, offset = (weights[f"{norm}.{key}"] for key in keys)
    return functional.batch_norm(x_BCHW, mean, variance, gain, offset)
