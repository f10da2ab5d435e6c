"""When instruments sample, and with how much noise."""

import numpy as np
from numpy.typing import NDArray


def sample_times(duration_s: float, rate_hz: float, start_s: float = 0.0) -> NDArray[np.float64]:
    """Return regular sample times from `start_s` that fit within the recording, in seconds."""
    samples = int(np.floor((duration_s - start_s) * rate_hz + 1e-9))
    return start_s + np.arange(samples) / rate_hz


def jitter_times(
    time_S: NDArray[np.float64], jitter_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the times moved by up to `jitter_s`, rounded to microseconds as a camera logs them."""
    return np.round(time_S + rng.uniform(-jitter_s, jitter_s, len(time_S)), 6)


def add_noise(
    value: NDArray[np.float64], relative: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add white noise of `relative` times the standard deviation of each column."""
    return value + relative * value.std(axis=0) * rng.standard_normal(value.shape)
