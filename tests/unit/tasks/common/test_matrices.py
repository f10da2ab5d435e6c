"""The aligned tree as matrices."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from tasks.common.matrices import behaviour_matrix, neural_matrix, unit_places


def test_columns_are_named_and_masked(make_aligned: Callable[..., xr.DataTree]) -> None:
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(20, 3))
    activity[4, 1] = np.nan
    tree = make_aligned(activity, rng.normal(size=(20, 2)), channels=["x", "y"])
    neurons, behaviour = neural_matrix(tree), behaviour_matrix(tree)
    assert neurons["unit"].values.tolist() == ["calcium/n0", "calcium/n1", "calcium/n2"]
    assert behaviour["channel"].values.tolist() == ["running/x", "running/y"]
    assert np.isnan(neurons["activity"].values).sum() == 1
    assert neurons["activity"].dtype == np.float32
    assert neurons["kind"].values.tolist() == ["calcium"] * 3
    assert neurons["segment"].dims == ("time",)


def test_a_single_channel_is_named_after_its_stream(
    make_aligned: Callable[..., xr.DataTree],
) -> None:
    tree = make_aligned(np.ones((20, 1)), np.ones((20, 1)))
    assert behaviour_matrix(tree)["channel"].values.tolist() == ["running"]


def test_no_streams_make_no_columns(make_aligned: Callable[..., xr.DataTree]) -> None:
    behaviour = behaviour_matrix(make_aligned(np.ones((20, 2))))
    assert behaviour["behaviour"].shape == (20, 0)
    assert behaviour["channel"].size == 0


def test_channels_of_field_potentials_lie_where_they_say(
    make_aligned: Callable[..., xr.DataTree],
) -> None:
    tree = make_aligned(np.ones((20, 2)))
    calcium = tree["calcium"].to_dataset()
    lfp = calcium.rename(activity="value", unit="channel").assign_attrs(
        stream_kind="lfp", primary="value"
    )
    tree = tree.assign(lfp=xr.DataTree(lfp.assign_coords(region=("channel", ["CA1", "CA3"]))))
    names = neural_matrix(tree)["unit"].values.tolist()
    assert unit_places(tree, names)["region"].values.tolist() == ["", "", "CA1", "CA3"]
