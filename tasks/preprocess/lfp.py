"""LFP: bad channels, common median reference, decimation, hum, band power; in windows of time."""

from functools import partial

import dask
import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import PreprocessSettings
from tasks.common.windows import BLOCK_BYTES
from tasks.preprocess.bands import measure_bands
from tasks.preprocess.clock import Clock
from tasks.preprocess.decimate import (
    TAPS_PER_STEP,
    decimate,
    decimation_factor,
    kept_runs,
    kept_samples,
)
from tasks.preprocess.line_noise import find_hum, remove_hum
from tasks.preprocess.stream import is_finite, note_operation, set_aside

NOISE_BLOCKS = 20


def clean_lfp(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return field potentials re-referenced, without hum, and at a lower rate.

    Bad channels stay in the data but out of the reference. `band_power` is beside the voltage on
    a time of its own, `band_time`.

    References
    ----------
    Common median reference: Jun et al. 2017, doi:10.1101/101030, and SpikeInterface.
    Decimation: tasks/preprocess/decimate.py; hum: line_noise.py; bands: bands.py.
    """
    chosen, clock = settings.lfp, Clock(stream, settings.max_gap_periods)
    voltage = da.asarray(stream["voltage"].data).astype(np.float32)
    sample = sample_blocks(voltage, clock)
    bad = find_bad_channels(sample, chosen.bad_channel_ratio)
    good = np.array([n not in bad for n in range(voltage.shape[1])], bool)
    hum_hz = find_hum([_filled(block[:, good]) for block in sample], clock.rate_hz, chosen)
    referenced = chosen.reference and good.sum() >= chosen.min_reference_channels
    if referenced:
        voltage = _whole_rows(voltage).map_blocks(partial(_reference, good=good), dtype=np.float32)
    factor = decimation_factor(clock.rate_hz, chosen.target_rate_hz)
    kept, runs = kept_samples(clock.runs, factor), kept_runs(clock.runs, factor)
    rate_hz = clock.rate_hz / factor
    reduced = remove_hum(decimate(voltage, clock, kept, factor), runs, rate_hz, hum_hz)
    time = clock.at(kept)
    cleaned = _dataset(stream, reduced, kept, time)
    cleaned = cleaned.merge(measure_bands(reduced, time, runs, rate_hz, chosen))
    cleaned = note_operation(cleaned, "find_bad_channels", ratio=chosen.bad_channel_ratio)
    cleaned = note_operation(cleaned, "common_median_reference", applied=bool(referenced))
    cleaned = note_operation(
        cleaned, "decimate", factor=factor, taps=2 * TAPS_PER_STEP * factor + 1 if factor > 1 else 0
    )
    cleaned = note_operation(cleaned, "notch", hz=hum_hz or None, harmonics=True)
    return set_aside(cleaned.assign_attrs(line_noise_hz=hum_hz), "channel", bad)


def _dataset(
    stream: xr.Dataset, voltage: da.Array, kept: NDArray[np.int64], time: NDArray[np.float64]
) -> xr.Dataset:
    """Return the stream on its new time axis; other variables along time go with it."""
    thinned = stream.drop_vars(["voltage", "time"]).isel(time=kept, missing_dims="ignore")
    array = xr.DataArray(voltage, dims=("time", "channel"), attrs=dict(stream["voltage"].attrs))
    cleaned = thinned.assign(voltage=array, valid=is_finite(array)).assign_coords(
        time=("time", time, dict(stream["time"].attrs))
    )
    cleaned.attrs.pop("rate_hz", None)
    return cleaned.assign_attrs(raw="voltage")


def _whole_rows(voltage: da.Array) -> da.Array:
    """Rechunk so that a block holds all channels, of few enough samples to fit in memory."""
    rows = max(BLOCK_BYTES // (8 * max(voltage.shape[1], 1)), 1)
    return voltage.rechunk({0: min(rows, max(voltage.chunks[0], default=rows)), 1: -1})


def sample_blocks(voltage: da.Array, clock: Clock) -> list[NDArray[np.float32]]:
    """Return up to 20 blocks of a second each, (sample, channel), spread over the recording."""
    if not voltage.size:
        return []
    size = clock.frames(1.0) or len(voltage)
    starts = np.unique(np.linspace(0, max(len(voltage) - size, 0), NOISE_BLOCKS).astype(int))
    (blocks,) = dask.compute([voltage[s : s + size] for s in starts.tolist()])
    return list(blocks)


def _filled(block: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def find_bad_channels(blocks: list[NDArray[np.float32]], ratio: float) -> dict[int, str]:
    """Return why channels are bad: flat, or of far more amplitude than the others.

    The amplitude is the median absolute deviation from a straight line: electrodes drift by more
    than the signal, and that is no fault.

    Parameters
    ----------
    blocks : (sample, channel) each, from all over the recording
    """
    if not blocks:
        return {}
    finite = np.all([np.isfinite(block).all(0) for block in blocks], axis=0)
    sample = np.concatenate([_level(np.where(finite, block, 0)).astype("f4") for block in blocks])
    amplitude = np.zeros(sample.shape[1])
    np.abs(sample, out=sample)
    amplitude[finite] = np.median(sample, axis=0, overwrite_input=True)[finite]
    varies = finite & np.any([np.ptp(block, axis=0) > 0 for block in blocks], axis=0)
    typical = np.median(amplitude[varies]) if varies.any() else 0.0
    absent = ~np.any([np.isfinite(block).any(0) for block in blocks], axis=0)
    reasons = {int(n): "no samples" for n in np.flatnonzero(absent)}
    reasons |= {int(n): "does not vary" for n in np.flatnonzero(finite & ~varies)}
    for n in np.flatnonzero(varies & (amplitude > ratio * typical)):
        reasons[int(n)] = f"{amplitude[n] / typical:.1f} times the amplitude of the median channel"
    return reasons


def _level(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract from each column its straight line of least squares."""
    centred: NDArray[np.float64] = np.asarray(block - block.mean(0), np.float64)
    along = np.arange(len(block), dtype=np.float64) - (len(block) - 1) / 2
    slope: NDArray[np.float64] = np.dot(along, centred) / max(float(np.dot(along, along)), 1.0)
    return centred - along[:, None] * slope


def _reference(block: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Subtract the median of the good channels from each sample."""
    kept = block[:, good]
    missing = ~np.isfinite(kept).all(1)
    middle = np.zeros(len(block), np.float32)
    middle[~missing] = _median_rows(kept[~missing])
    for row in np.flatnonzero(missing):
        finite = kept[row][np.isfinite(kept[row])]
        middle[row] = np.median(finite) if finite.size else np.nan
    return block - middle[:, None]


def _median_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what numpy.median does along the second axis; no value may be missing."""
    half = rows.shape[1] // 2
    # One place at a time is vectorised in NumPy; the two that numpy.median asks for take four
    # times as long.
    ordered = np.partition(rows, half, axis=1)
    low = ordered[:, half] if rows.shape[1] % 2 else ordered[:, :half].max(1)
    middle: NDArray[np.float32] = np.stack([low, ordered[:, half]]).mean(0)
    return middle
