"""Alignment against pynapple: the same resampling of the same session, the same result, one run."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from schemas.settings.align import AlignSettings
from tasks.align.clock import rate_axis
from tasks.align.resample import resample
from tasks.align.source import read_source
from tasks.align.spikes import count_spikes

nap = pytest.importorskip("pynapple")

SECONDS, RATE_HZ, COLUMNS = 1_800.0, 30.0, 1_000
SPIKES_HZ = 10.0


@pytest.mark.slow
@pytest.mark.parametrize("onto_hz", [10.0, 50.0])
def test_interpolating_a_stream(benchmark, cost, onto_hz):
    rng = np.random.default_rng(0)
    time = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    values = rng.standard_normal((len(time), COLUMNS), np.float32)
    axis = rate_axis(np.array([[1.0, SECONDS - 1.0]]), onto_hz)
    stored = da.from_array(values, (6_000, 50))

    def ours():
        source = read_source(time, 2.5)
        return _write(resample(stored, source, axis, "linear", AlignSettings()))

    frame, ticks = nap.TsdFrame(t=time, d=values), nap.Ts(t=axis.time)
    _compare(benchmark, cost, ours, lambda: frame.interpolate(ticks).d, 1e-5)


@pytest.mark.slow
def test_counting_spikes(benchmark, cost):
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, SECONDS, int(SECONDS * SPIKES_HZ))) for _ in range(COLUMNS)]
    stream = xr.Dataset(
        {
            "spike_time": ("spike", np.concatenate(trains)),
            "unit_index": ("spike", np.repeat(np.arange(COLUMNS), [len(t) for t in trains])),
            "keep": ("unit", np.ones(COLUMNS, bool)),
        },
        {"unit": np.arange(COLUMNS).astype(str)},
    )
    axis = rate_axis(np.array([[0.0, SECONDS]]), 10.0)
    group = nap.TsGroup({n: nap.Ts(t=t) for n, t in enumerate(trains)})
    span = nap.IntervalSet(0.0, SECONDS)
    _compare(
        benchmark,
        cost,
        lambda: _write(count_spikes(stream, axis)[0]),
        lambda: group.count(0.1, ep=span).d,
        0,
    )


def _write(lazy):
    """Fill one array block by block, as the stage writes it; compute() would hold it all twice."""
    made = np.empty(lazy.shape, lazy.dtype)
    with dask.config.set(scheduler="threads"):
        da.store(lazy, made, lock=False)
    return made


def _compare(benchmark, cost, ours, theirs, tolerance):
    expected = cost(theirs).result  # warms numba up
    ours()
    rounds = [(cost(ours), cost(theirs)) for _ in range(3)]
    made = benchmark.pedantic(lambda: cost(ours), rounds=1)
    mine = min(round_[0].seconds for round_ in rounds)
    other = min(round_[1].seconds for round_ in rounds)
    differs = float(np.abs(np.asarray(made.result, np.float64) - np.asarray(expected)).max())
    benchmark.extra_info |= {
        "seconds": mine, "pynapple_s": other, "ratio": other / mine, "differs": differs,
        "MB": rounds[0][0].megabytes, "pynapple_MB": rounds[0][1].megabytes,
    }  # fmt: skip
    print(f"\n{benchmark.name}: {benchmark.extra_info}")  # noqa: T201
    assert differs <= tolerance
    assert other / mine > 5
