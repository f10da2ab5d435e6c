"""LFP: bad channels, common median reference, anti-aliased decimation; all in windows of time."""

from functools import partial
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import signal

from schemas.settings.preprocess import PreprocessSettings
from tasks.common.segments import split_runs
from tasks.common.windows import Window, block_starts, columns_at_once, map_windows
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import is_finite, note_operation, set_aside

TAPS_PER_STEP = 10
"""Half length of the decimation filter in output samples."""
PASSED = 0.8
"""Cutoff as a part of the new Nyquist frequency (scipy.signal.decimate, SpikeInterface)."""
NOISE_BLOCKS = 20
MOST_ROWS = 6_000


def clean_lfp(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return field potentials re-referenced and at a lower rate, with bad channels marked.

    Bad channels stay in the data but out of the reference. Decimation keeps every n-th sample
    of each gapless stretch after a symmetric (delay-free) FIR low-pass that reads no sample
    of another stretch. At the ends of a stretch, and around missing samples, the filter is
    scaled to the samples that are there.
    """
    chosen, clock = settings.lfp, Clock(stream, settings.max_gap_periods)
    voltage = da.asarray(stream["voltage"].data).astype(np.float32)
    bad = find_bad_channels(voltage, clock, chosen.bad_channel_ratio)
    good = np.array([n not in bad for n in range(voltage.shape[1])])
    referenced = chosen.reference and good.sum() >= chosen.min_reference_channels
    if referenced:
        voltage = voltage.rechunk({1: -1}).map_blocks(
            partial(_reference, good=good), dtype=np.float32
        )
    factor = _factor(clock.rate_hz, chosen.target_rate_hz)
    kept = _kept_samples(clock.segment, factor)
    reduced = decimate(voltage, clock.segment, kept, factor)
    cleaned = _dataset(stream, reduced, kept)
    cleaned = note_operation(cleaned, "find_bad_channels", ratio=chosen.bad_channel_ratio)
    cleaned = note_operation(cleaned, "common_median_reference", applied=bool(referenced))
    cleaned = note_operation(
        cleaned, "decimate", factor=factor, taps=2 * TAPS_PER_STEP * factor + 1 if factor > 1 else 0
    )
    return set_aside(cleaned, "channel", bad)


def _factor(rate_hz: float, target_hz: float) -> int:
    """Return the largest whole factor that keeps at least the target rate."""
    # 1e-3: from rounded times 2,500 Hz may come out as 2,499.999.
    return max(int(rate_hz / target_hz + 1e-3), 1) if np.isfinite(rate_hz) else 1


def _dataset(stream: xr.Dataset, voltage: da.Array, kept: NDArray[np.int64]) -> xr.Dataset:
    """Return the stream on its new time axis; other variables along time go with it."""
    thinned = stream.drop_vars("voltage").isel(time=kept)
    array = xr.DataArray(voltage, dims=("time", "channel"), attrs=dict(stream["voltage"].attrs))
    cleaned = thinned.assign(voltage=array, valid=is_finite(array))
    cleaned.attrs.pop("rate_hz", None)
    return cleaned.assign_attrs(raw="voltage")


def find_bad_channels(voltage: da.Array, clock: Clock, ratio: float) -> dict[int, str]:
    """Return why channels are bad: flat, or of far more amplitude than the others.

    The amplitude is the median absolute deviation from a straight line, over up to 20 seconds
    spread over the recording: electrodes drift by more than the signal, and that is no fault.
    """
    size = round(clock.rate_hz) if np.isfinite(clock.rate_hz) else len(voltage)
    starts = np.unique(np.linspace(0, max(len(voltage) - size, 0), NOISE_BLOCKS).astype(int))
    (blocks,) = dask.compute([voltage[s : s + size] for s in starts.tolist()])
    if not voltage.size:
        return {}
    finite = np.all([np.isfinite(block).all(0) for block in blocks], axis=0)
    sample = np.concatenate([_level(np.where(finite, block, 0.0)) for block in blocks])
    amplitude = np.zeros(sample.shape[1])
    amplitude[finite] = np.median(np.abs(sample[:, finite]), axis=0)
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
    middle[~missing] = np.median(kept[~missing], axis=1)
    for row in np.flatnonzero(missing):
        finite = kept[row][np.isfinite(kept[row])]
        middle[row] = np.median(finite) if finite.size else np.nan
    return block - middle[:, None]


def _kept_samples(segment_T: NDArray[np.integer], factor: int) -> NDArray[np.int64]:
    """Return the positions that decimation keeps: every n-th of each stretch."""
    runs = [np.arange(run.start, run.stop, factor) for run in split_runs(segment_T)]
    return np.concatenate([np.zeros(0, np.int64), *runs])


def decimate(
    voltage: da.Array, segment_T: NDArray[np.integer], kept: NDArray[np.int64], factor: int
) -> da.Array:
    """Low-pass each gapless stretch and keep the samples at `kept`, lazily."""
    if factor == 1:
        return voltage
    half = TAPS_PER_STEP * factor
    taps = signal.firwin(2 * half + 1, PASSED / factor)
    starts = block_starts(np.maximum(kept - half, 0), columns_at_once(voltage), MOST_ROWS)
    windows = []
    for first, last in pairwise(starts):
        inside = kept[first:last]
        lowest, highest = (
            max(int(inside[0]) - half, 0),
            min(int(inside[-1]) + half + 1, len(segment_T)),
        )
        kernel = partial(
            _filter_window, kept=inside - lowest, segment=segment_T[lowest:highest], taps=taps
        )
        windows.append(Window(slice(lowest, highest), last - first, partial(kernel, factor=factor)))
    return map_windows(voltage, windows, np.float32)


def _filter_window(
    block: NDArray[np.float32],
    kept: NDArray[np.int64],
    segment: NDArray[np.integer],
    taps: NDArray[np.float64],
    factor: int,
) -> NDArray[np.float32]:
    """Filter the rows of one window and return those at `kept`."""
    made = np.empty((len(kept), block.shape[1]), np.float32)
    for run in split_runs(segment):
        mine = (kept >= run.start) & (kept < run.stop)
        if mine.any():
            made[mine] = _filter_run(block[run], kept[mine] - run.start, taps, factor)
    return made


def _filter_run(
    values: NDArray[np.float32], kept: NDArray[np.int64], taps: NDArray[np.float64], factor: int
) -> NDArray[np.float64]:
    """Filter one stretch at `kept`, `factor` apart; NaN where half the filter is empty."""
    finite = np.isfinite(values)
    weight = finite.astype(np.float64) if not finite.all() else np.ones((len(values), 1))
    total = _convolve_at(np.where(finite, values, 0.0).astype(np.float64), kept, taps, factor)
    present = _convolve_at(weight, kept, taps, factor)
    known = finite[kept] & (present > 0.5)
    return np.divide(total, present, out=np.full_like(total, np.nan), where=known)


def _convolve_at(
    values: NDArray[np.float64], kept: NDArray[np.int64], taps: NDArray[np.float64], factor: int
) -> NDArray[np.float64]:
    half = len(taps) // 2
    before = half - int(kept[0])
    after = int(kept[-1]) + half + 1 - len(values)
    padded = np.pad(values[max(-before, 0) :], ((max(before, 0), max(after, 0)), (0, 0)))
    # The first full output lies 2 * half taps in, a whole number of steps since
    # half = TAPS_PER_STEP * factor.
    first = 2 * half // factor
    filtered: NDArray[np.float64] = signal.upfirdn(taps, padded, down=factor, axis=0)
    return filtered[first : first + len(kept)]
