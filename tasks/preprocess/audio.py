"""Audio: envelope and log-mel bands at some 100 Hz, in windows of time."""

from functools import partial
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import AudioFeatures, PreprocessSettings
from tasks.common.segments import split_runs
from tasks.common.windows import Window, block_starts, map_windows
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import as_float, is_finite, note_operation

MOST_FRAMES = 6_000
SILENCE = 1e-12
"""Power that stands for silence, so that its logarithm is finite (-120 dB)."""


def measure_audio(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return the envelope (root mean square) and log-mel bands of each sound channel.

    A frame lies within one gapless stretch and is timed at its middle. Streams that are not
    much faster than the features (somebody's envelope) pass as they are.

    References
    ----------
    Mel scale: O'Shaughnessy 1987, 2595 log10(1 + f / 700).
    """
    chosen, clock = settings.audio, Clock(stream, settings.max_gap_periods)
    if not clock.rate_hz > 4 * chosen.rate_hz:
        value = as_float(stream["value"])
        passed = stream.assign(valid=is_finite(value)).assign_attrs(raw="value")
        return note_operation(passed, "pass_through", reason="too slow to be sound")
    width = max(round(chosen.window_s * clock.rate_hz), 2)
    first = frame_starts(clock.segment, clock.rate_hz / chosen.rate_hz, width)
    weights = mel_weights(width, clock.rate_hz, chosen.mel_bands)
    labels = _labels([str(c) for c in stream["channel"].values], chosen.mel_bands)
    features = _features(stream, first, width, weights, len(labels))
    time = (clock.time[first] + clock.time[first + width - 1]) / 2
    return _dataset(stream, xr.DataArray(features, dims=("time", "channel")), time, labels, chosen)


def frame_starts(segment_T: NDArray[np.integer], step: float, width: int) -> NDArray[np.int64]:
    """Return the first sample of each frame; the step may be a fraction of a sample."""
    starts = [np.zeros(0, np.int64)]
    for run in split_runs(segment_T):
        room = run.stop - run.start - width
        if room >= 0:
            starts.append(run.start + np.round(np.arange(int(room // step) + 1) * step).astype(int))
    return np.concatenate(starts)


def mel_weights(width: int, rate_hz: float, bands: int) -> NDArray[np.float64]:
    """Return triangular filters, equally wide in mel, as (frequency, band)."""
    frequency = np.fft.rfftfreq(width, 1 / rate_hz)
    mel = 2595 * np.log10(1 + frequency / 700)
    edges = np.linspace(0, mel[-1], bands + 2)
    rising = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    weights: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0.0)
    return weights


def _features(
    stream: xr.Dataset,
    first: NDArray[np.int64],
    width: int,
    weights: NDArray[np.float64],
    count: int,
) -> object:
    """Return (frame, feature) lazily."""
    value = stream["value"].data
    starts = block_starts(first, value.shape[1], MOST_FRAMES)
    windows = []
    for low, high in pairwise(starts):
        source = slice(int(first[low]), int(first[high - 1]) + width)
        kernel = partial(
            _measure, first=first[low:high] - source.start, width=width, weights=weights
        )
        windows.append(Window(source, high - low, kernel))
    return map_windows(value, windows, np.float32, columns=count)


def _measure(
    block: NDArray[np.generic], first: NDArray[np.int64], width: int, weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return (frame, channel x [envelope, bands]) of one window; NaN where a sample is missing."""
    frames = np.lib.stride_tricks.sliding_window_view(block.astype(np.float64), width, axis=0)[
        first
    ]
    envelope = np.sqrt((frames**2).mean(-1))
    power = np.abs(np.fft.rfft(frames * np.hanning(width), axis=-1)) ** 2 / width**2
    bands = 10 * np.log10(power @ weights + SILENCE)
    made = np.concatenate([envelope[..., None], bands], axis=-1)
    return made.reshape(len(first), -1).astype(np.float32)


def _labels(channels: list[str], bands: int) -> list[str]:
    names = ["envelope", *(f"mel_{n}" for n in range(bands))]
    return names if len(channels) == 1 else [f"{c}_{name}" for c in channels for name in names]


def _dataset(
    stream: xr.Dataset,
    value: xr.DataArray,
    time: NDArray[np.float64],
    labels: list[str],
    chosen: AudioFeatures,
) -> xr.Dataset:
    units = stream["value"].attrs.get("units", "1")
    features = xr.Dataset(
        {
            "value": value.assign_attrs(units=f"{units}; mel bands dB", long_name="sound features"),
            "valid": is_finite(value),
        },
        {"time": ("time", time, {"units": "s"}), "channel": np.array(labels, dtype=object)},
        {k: v for k, v in stream.attrs.items() if k != "rate_hz"} | {"raw": "value"},
    )
    return note_operation(features, "envelope_and_log_mel", **chosen.model_dump())
