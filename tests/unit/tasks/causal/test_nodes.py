"""Nodes: standardised, smoothed, cut to the fitting part; the unusable named with reasons."""

import numpy as np
import pytest
import xarray as xr

from schemas.errors import NothingToDoError, RecordingTooShortError
from schemas.settings.causal import CausalSettings
from schemas.settings.split import SplitSettings
from tasks.causal.nodes import gather_nodes, standardise
from tasks.common.smoothing import smooth_within_runs
from tasks.common.splits import split_by_time

ALL = CausalSettings(use="all", min_samples=50, tau_s=0)


def test_standardise_survives_an_offset_and_gaps():
    values = np.random.default_rng(0).standard_normal((500, 3))
    values[10:20, 1] = np.nan
    shifted = standardise(values * 3 + 1e6)
    np.testing.assert_allclose(shifted, standardise(values), atol=1e-6)
    np.testing.assert_allclose(np.nanmean(shifted, 0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(shifted, 0), 1, atol=1e-6)
    assert np.isnan(shifted[10:20, 1]).all()


def test_a_unit_lies_where_its_stream_says_else_in_its_stream(make_aligned):
    rng = np.random.default_rng(3)
    aligned = make_aligned(rng.standard_normal((300, 3)), rng.standard_normal((300, 1)))
    assert set(gather_nodes(aligned, ALL)["region"].values.tolist()) == {"calcium", "running"}
    place = np.arange(6.0).reshape(3, 2)
    told = {"region": ("unit", ["V1", "", "CA1"]), "position": (("unit", "space"), place)}
    aligned["calcium"] = xr.DataTree(aligned["calcium"].to_dataset().assign_coords(told))
    nodes = gather_nodes(aligned, ALL)
    assert nodes["region"].values.tolist() == ["V1", "calcium", "CA1", "running"]
    np.testing.assert_array_equal(nodes["position"][:3, :2], place)
    assert np.isnan(nodes["position"][:, 2]).all()
    assert np.isnan(nodes["position"][3]).all()


def test_smoothing_stops_at_borders_and_gaps():
    counts = np.zeros((20, 1))
    counts[9] = 1.0
    counts[4] = np.nan
    segments = np.repeat([0, 1], 10)
    smooth = smooth_within_runs(counts, segments, 2.0)
    assert (smooth[10:] == 0).all()
    assert np.isnan(smooth[4, 0])
    constant = smooth_within_runs(np.where(np.isnan(counts), np.nan, 3.0), segments, 2.0)
    np.testing.assert_allclose(constant[np.isfinite(counts)], 3.0)


def test_unusable_nodes_are_named_with_their_reason(make_aligned):
    activity = np.random.default_rng(1).standard_normal((300, 5))
    activity[:, 1] = 7.0
    activity[:, 2] = np.nan
    activity[40:, 3] = np.nan
    nodes = gather_nodes(make_aligned(activity), ALL)
    reason = dict(zip(nodes["node"].values, nodes["reason"].values, strict=True))
    assert reason["calcium/n0"] == reason["calcium/n4"] == ""
    assert reason["calcium/n1"] == "constant (7 in all 300 valid samples)"
    assert reason["calcium/n2"] == "no valid sample"
    assert (
        reason["calcium/n3"] == "too short: 40 valid samples hold 31 embedding vectors, 50 needed"
    )


def test_behaviour_channels_are_nodes(make_aligned):
    rng = np.random.default_rng(2)
    tree = make_aligned(rng.standard_normal((300, 2)), rng.standard_normal((300, 2)))
    nodes = gather_nodes(tree, ALL)
    assert nodes["node"].values.tolist() == ["calcium/n0", "calcium/n1", "running/b0", "running/b1"]
    assert nodes["behaviour"].values.tolist() == [False, False, True, True]
    without = gather_nodes(tree, ALL.model_copy(update={"behaviour": False}))
    assert without.sizes["node"] == 2


@pytest.mark.parametrize("left_out", ["calcium", "running"])
def test_neurons_or_behaviour_alone_are_nodes_too(make_aligned, left_out):
    rng = np.random.default_rng(4)
    aligned = make_aligned(rng.standard_normal((40_000, 3)), rng.standard_normal((40_000, 3)))
    # Long and in blocks, as the lake holds them: Dask divides by the number of columns there.
    alone = aligned.drop_nodes(left_out).chunk({"time": 10_000})
    assert gather_nodes(alone, ALL).sizes["node"] == 3


def test_the_test_part_is_never_seen(make_aligned):
    activity = np.random.default_rng(3).standard_normal((400, 2))
    settings = CausalSettings(min_samples=50, split=SplitSettings(test=0.25, validation=0.1))
    seen = gather_nodes(make_aligned(activity), settings)
    assert seen.sizes["time"] == 300
    activity[300:] += 100
    np.testing.assert_array_equal(
        gather_nodes(make_aligned(activity), settings)["value"], seen["value"]
    )


def test_no_embedding_reaches_across_a_test_part_that_was_taken_out(make_aligned):
    activity = np.random.default_rng(3).standard_normal((600, 2))
    split = SplitSettings(blocks=3)
    settings = CausalSettings(min_samples=50, split=split)
    seen = gather_nodes(make_aligned(activity), settings)
    kept = split_by_time(make_aligned(activity)["clock"]["time"].to_numpy(), split).fitting
    assert seen.sizes["time"] == kept.sum() < 480
    np.testing.assert_array_equal(np.diff(seen["segment"]) > 0, np.diff(np.flatnonzero(kept)) > 1)
    changed = activity.copy()
    changed[~kept] += 100
    np.testing.assert_array_equal(
        gather_nodes(make_aligned(changed), settings)["value"], seen["value"]
    )


def test_fewer_than_two_nodes_is_nothing_to_do(make_aligned):
    activity = np.zeros((300, 2))
    activity[:, 0] = np.random.default_rng(4).standard_normal(300)
    with pytest.raises(NothingToDoError, match=r"1 of 2 neurons .* calcium/n1: constant"):
        gather_nodes(make_aligned(activity), ALL)


def test_too_short_a_session_is_nothing_to_do(make_aligned):
    with pytest.raises(RecordingTooShortError):
        gather_nodes(
            make_aligned(np.random.default_rng(5).standard_normal((6, 2))), CausalSettings()
        )
