"""Power of field potentials in the classical bands, at a few values a second."""

from collections.abc import Mapping
from functools import partial

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_neural import LfpCleaning
from tasks.preprocess.pieces import Runs, frame_starts, measure_frames
from tasks.preprocess.stream import text_variable

HIGHEST = 0.8
"""Part of the Nyquist frequency up to which the anti-aliasing filter passes."""


def measure_bands(
    voltage: da.Array, time: NDArray[np.float64], runs: Runs, rate_hz: float, chosen: LfpCleaning
) -> xr.Dataset:
    """Return the power of each channel in each band.

    The integral of the periodogram of Hann windows of `band_window_s` (Welch 1967,
    doi:10.1109/TAU.1967.1161901, without the averaging). A window lies within one gapless
    stretch and is timed at its middle; missing samples make it NaN.

    Parameters
    ----------
    voltage : (time, channel) cleaned and decimated
    time : (time,) seconds of these

    Returns
    -------
    Dataset with `band_power` (band_time, channel, band); empty if no band can be measured
    """
    bands = {
        name: limits
        for name, limits in chosen.bands.items()
        if np.isfinite(rate_hz) and limits[1] <= HIGHEST * rate_hz / 2
    }
    if not bands or not chosen.band_rate_hz or not voltage.shape[1]:
        return xr.Dataset()
    width = round(chosen.band_window_s * rate_hz)
    first = frame_starts(runs, rate_hz / chosen.band_rate_hz, width)
    weights = band_weights(width, rate_hz, bands)
    power = measure_frames(
        voltage, first, width, partial(_power, weights=weights), voltage.shape[1] * len(bands)
    )
    shaped = power.reshape(len(first), voltage.shape[1], len(bands))
    low, high = np.array(list(bands.values()), np.float64).T
    return xr.Dataset(
        {
            "band_power": (("band_time", "channel", "band"), shaped, {"units": "V^2"}),
            "band_low": ("band", low, {"units": "Hz"}),
            "band_high": ("band", high, {"units": "Hz"}),
        },
        {
            "band_time": ("band_time", (time[first] + time[first + width - 1]) / 2, {"units": "s"}),
            "band": text_variable("band", list(bands)),
        },
    )


def band_weights(
    width: int, rate_hz: float, bands: Mapping[str, tuple[float, float]]
) -> NDArray[np.float64]:
    """Return (frequency, band): what turns |FFT|^2 of a Hann window into power in a band."""
    frequency = np.fft.rfftfreq(width, 1 / rate_hz)
    inside = [(frequency >= low) & (frequency < high) for low, high in bands.values()]
    # Twice, for the negative frequencies; over n times the window's energy, after Parseval.
    scale = 2 / (width * (np.hanning(width) ** 2).sum())
    return np.stack(inside, axis=1) * scale


def _power(frames: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """(frame, channel, sample) -> (frame, channel x band)."""
    centred = frames - frames.mean(-1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred * np.hanning(frames.shape[-1]), axis=-1)) ** 2
    return (spectrum @ weights).reshape(len(frames), -1).astype(np.float32)
