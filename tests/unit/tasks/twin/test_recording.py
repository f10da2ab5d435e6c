"""Reading the network's columns: spikes smoothed, nothing across a gap or out of the test part."""

import numpy as np
import pytest
import xarray as xr

from schemas.settings.split import SplitSettings
from tasks.common.smoothing import smooth_within_runs
from tasks.twin.recording import read_axis, read_nodes


def test_smoothing_keeps_counts_and_stays_inside_its_stretch():
    counts = np.zeros(60)
    counts[[10, 29, 45]] = 1
    counts[50] = np.nan
    border = np.repeat([0, 1], 30)
    smooth = smooth_within_runs(counts, border, 2.0)
    assert smooth[:20].sum() == pytest.approx(1, abs=1e-3)
    assert smooth[30:37].max() == 0
    assert np.isnan(smooth[50])
    assert np.isfinite(np.delete(smooth, 50)).all()
    np.testing.assert_array_equal(smooth_within_runs(counts, border, 0.0), counts)


def _with_spikes(make_aligned, counts_T):
    tree = make_aligned(np.zeros((len(counts_T), 1)), np.zeros((len(counts_T), 1)))
    clock = tree["clock"].to_dataset()
    spikes = xr.Dataset(
        {
            "counts": (("time", "unit"), counts_T[:, None], {"units": "1"}),
            "valid": (("time", "unit"), np.ones((len(counts_T), 1), bool)),
        },
        {"time": clock["time"], "unit": ["u0"]},
        {"stream_kind": "spikes", "primary": "counts", "source": "made by a test"},
    )
    return xr.DataTree.from_dict({**tree.to_dict(), "/units": spikes})


def test_test_spikes_do_not_reach_the_samples_before(make_aligned):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, 400).astype(np.float64)
    test = read_axis(_with_spikes(make_aligned, counts), SplitSettings()).split.test
    before = np.flatnonzero(test)[0]
    changed = np.where(test, rng.poisson(5, 400), counts)
    made = []
    for values in (counts, changed):
        tree = _with_spikes(make_aligned, values)
        axis = read_axis(tree, SplitSettings())
        made.append(read_nodes(tree, ("units/u0", "running"), axis, 0.5)[:, 0])
    np.testing.assert_array_equal(made[0][:before], made[1][:before])
    assert made[0][:before].std() < counts[:before].std()
