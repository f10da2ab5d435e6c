"""Audio: envelope, log-mel bands and ultrasonic calls at some 100 Hz, in windows of time."""

from functools import partial

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_behaviour import AudioFeatures
from schemas.settings.preprocess import PreprocessSettings
from tasks.common.segments import true_runs
from tasks.preprocess.clock import Clock
from tasks.preprocess.pieces import frame_starts, measure_frames
from tasks.preprocess.stream import as_float, is_finite, note_operation
from tasks.preprocess.tables import interval_table

SILENCE = 1e-12
"""Power that stands for silence, so that its logarithm is finite (-120 dB)."""
ULTRASOUND_ROOM = 1.25
"""Ultrasound is looked for if the Nyquist frequency is so many times its lower limit."""
RATE_WINDOW_S = 1.0


def measure_audio(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return the envelope (root mean square) and log-mel bands of each sound channel.

    A frame lies within one gapless stretch and is timed at its middle. Where the rate allows, the
    power of ultrasound is measured too: `calling` marks the frames in which a channel's is far
    above its median, and the channel `call_rate` counts calls a second. Streams that are not
    much faster than the features (somebody's envelope) pass as they are.

    References
    ----------
    Mel scale: O'Shaughnessy 1987, 2595 log10(1 + f / 700). Calls: threshold, shortest call and
    shortest pause as in USVSEG, Tachibana et al. 2020, doi:10.1371/journal.pone.0228907.
    """
    chosen, clock = settings.audio, Clock(stream, settings.max_gap_periods)
    if not clock.rate_hz > 4 * chosen.rate_hz:
        value = as_float(stream["value"])
        passed = stream.assign(valid=is_finite(value)).assign_attrs(raw="value")
        return note_operation(passed, "pass_through", reason="too slow to be sound")
    width = max(round(chosen.window_s * clock.rate_hz), 2)
    first = frame_starts(clock.runs, clock.rate_hz / chosen.rate_hz, width)
    weights = feature_weights(width, clock.rate_hz, chosen)
    channels = [str(c) for c in stream["channel"].values]
    features = measure_frames(
        da.asarray(stream["value"].data),
        first,
        width,
        partial(_measure, weights=weights),
        len(channels) * (1 + weights.shape[1]),
    )
    time = (clock.at(first) + clock.at(first + width - 1)) / 2
    sound = xr.DataArray(features, dims=("time", "channel"))
    cleaned = _dataset(stream, sound, time, _labels(channels, weights.shape[1]), chosen)
    return mark_calls(cleaned, channels, chosen) if weights.shape[1] > chosen.mel_bands else cleaned


def feature_weights(width: int, rate_hz: float, chosen: AudioFeatures) -> NDArray[np.float64]:
    """Return (frequency, band): mel bands, and one of ultrasound where the rate allows it."""
    frequency = np.fft.rfftfreq(width, 1 / rate_hz)
    mel = mel_weights(frequency, chosen.mel_bands)
    lowest = chosen.ultrasound_hz
    if not lowest or rate_hz / 2 < ULTRASOUND_ROOM * lowest:
        return mel
    return np.column_stack([mel, frequency >= lowest])


def mel_weights(frequency: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """Return triangular filters, equally wide in mel, as (frequency, band)."""
    mel = 2595 * np.log10(1 + frequency / 700)
    edges = np.linspace(0, mel[-1], bands + 2)
    rising = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    weights: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0.0)
    return weights


def _measure(frames: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """(frame, channel, sample) -> (frame, channel x [envelope, bands]); NaN if one is missing."""
    width = frames.shape[-1]
    envelope = np.sqrt((frames**2).mean(-1))
    power = np.abs(np.fft.rfft(frames * np.hanning(width), axis=-1)) ** 2 / width**2
    bands = 10 * np.log10(power @ weights + SILENCE)
    made = np.concatenate([envelope[..., None], bands], axis=-1)
    return made.reshape(len(frames), -1).astype(np.float32)


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


def mark_calls(cleaned: xr.Dataset, channels: list[str], chosen: AudioFeatures) -> xr.Dataset:
    """Take the power of ultrasound out of the features and mark the frames with calls.

    Parameters
    ----------
    cleaned : features whose last of each sound channel is its ultrasound in dB

    Returns
    -------
    The features with the channel `call_rate` in place of these, `ultrasound` (time) in dB, the
    highest of all sound channels, and `calling` (time)
    """
    # The threshold needs the whole course: a few numbers for each of 10 ms of sound.
    value_TC = np.asarray(cleaned["value"].values, np.float32)
    each = value_TC.shape[1] // len(channels)
    last = np.arange(each - 1, value_TC.shape[1], each)
    level_TC = value_TC[:, last]
    known_T = np.isfinite(level_TC).any(1)
    level_T = np.where(np.isfinite(level_TC), level_TC, -np.inf).max(1, initial=-np.inf)
    usual = np.median(level_T[known_T]) if known_T.any() else np.inf
    time_T = cleaned["time"].values
    calling_T = find_calls(known_T & (level_T > usual + chosen.call_db), time_T, chosen)
    rate_T = np.where(known_T, count_calls(calling_T, time_T), np.nan).astype(np.float32)
    labels = np.append(np.delete(cleaned["channel"].values, last), "call_rate").astype(object)
    value = xr.DataArray(
        np.column_stack([np.delete(value_TC, last, axis=1), rate_T]),
        dims=("time", "channel"),
        attrs=cleaned["value"].attrs,
    )
    kept = cleaned.drop_vars(["value", "valid", "channel"])
    marked = kept.assign_coords(channel=labels).assign(
        value=value,
        valid=is_finite(value),
        ultrasound=("time", np.where(known_T, level_T, np.nan), {"units": "dB"}),
        calling=("time", calling_T),
    )
    return note_operation(
        marked,
        "find_ultrasonic_calls",
        from_hz=chosen.ultrasound_hz,
        threshold_db=float(usual + chosen.call_db) if np.isfinite(usual) else None,
        calls=len(true_runs(calling_T)),
    )


def find_calls(
    loud_T: NDArray[np.bool_], time_T: NDArray[np.float64], chosen: AudioFeatures
) -> NDArray[np.bool_]:
    """Join loud frames that are close and leave out what is too short to be a call."""
    calling_T = loud_T.copy()
    for pause in true_runs(~loud_T):
        inside = pause.start > 0 and pause.stop < len(loud_T)
        if inside and time_T[pause.stop] - time_T[pause.start - 1] < chosen.call_pause_s:
            calling_T[pause] = True
    for call in true_runs(calling_T):
        # A frame counts for its hop, or a call of one frame would last no time.
        lasts = time_T[call.stop - 1] - time_T[call.start] + 1 / chosen.rate_hz
        calling_T[call] = lasts >= chosen.call_s
    return calling_T


def count_calls(calling_T: NDArray[np.bool_], time_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many calls begin a second, over the second around each frame."""
    begin = time_T[[call.start for call in true_runs(calling_T)]]
    low = np.searchsorted(begin, time_T - RATE_WINDOW_S / 2)
    high = np.searchsorted(begin, time_T + RATE_WINDOW_S / 2)
    return (high - low) / RATE_WINDOW_S


def tabulate_calls(name: str, cleaned: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the calls of a cleaned audio stream as intervals; nothing where none was looked for.

    Returns
    -------
    `NAME_calls` with start_time, stop_time and the greatest `ultrasound` in dB of each
    """
    if "calling" not in cleaned:
        return {}
    time_T, level_T = cleaned["time"].values, cleaned["ultrasound"].values
    calls = true_runs(cleaned["calling"].values)
    peak = np.array([level_T[call].max() for call in calls], np.float32)
    spans = [(time_T[call.start], time_T[call.stop - 1]) for call in calls]
    columns = {"ultrasound": (peak, "dB")}
    return {f"{name}_calls": interval_table(cleaned, spans, columns, "ultrasonic calls")}
