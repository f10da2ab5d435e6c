"""Many inputs: behaviour stays as it is, of slots their mean, axes hold all else."""

import numpy as np
import pytest

from tasks.lnm.data.recording import Columns
from tasks.lnm.linear.maps import reduce_inputs
from tasks.lnm.linear.reduction import choose_axes


@pytest.fixture
def columns() -> Columns:
    names = (*(f"calcium/n{i}" for i in range(6)), "a@-1", "a@+0", "a@+1", "b")
    return Columns(
        names,
        ("calcium",) * 6 + ("a",) * 3 + ("b",),
        ("calcium",) * 6 + ("eye",) * 3 + ("motion",),
        channels=(*names[:6], "a", "a", "a", "b"),
    )


def test_means_of_slots_are_kept_and_what_differs_is_in_the_axes(columns, monkeypatch):
    monkeypatch.setattr("tasks.lnm.linear.reduction.MOST_INPUTS", 6)
    rng = np.random.default_rng(0)
    z_TV = rng.standard_normal((500, 10)).astype(np.float32)
    z_TV[:, :6] = 0.1 * z_TV[:, :6] + np.outer(z_TV[:, 0], np.ones(6))
    slope_T = 3 * rng.standard_normal(500)
    z_TV[:, 6:9] += np.outer(slope_T, [-1, 0, 1])
    inputs = np.arange(10)
    axes_IR, behaviour = choose_axes(z_TV, inputs, columns, np.arange(500) < 400, rng)
    reduced_TR = reduce_inputs(z_TV, inputs, axes_IR)
    assert reduced_TR.shape == (500, 6)
    np.testing.assert_array_equal(behaviour, [0, 1])
    np.testing.assert_allclose(reduced_TR[:, 0], z_TV[:, 6:9].mean(1), atol=1e-5)
    np.testing.assert_array_equal(reduced_TR[:, 1], z_TV[:, 9])
    # How the slots differ, and what the units share, is all there.
    for wanted_T in (slope_T, z_TV[:, 0]):
        told_R = np.linalg.lstsq(reduced_TR, wanted_T, rcond=None)[0]
        assert np.corrcoef(reduced_TR @ told_R, wanted_T)[0, 1] > 0.95


def test_of_few_inputs_one_slot_of_each_channel_is_behaviour(columns):
    z_TV, rng = np.zeros((10, 10), np.float32), np.random.default_rng(0)
    axes_IR, behaviour = choose_axes(
        z_TV, np.array([0, 6, 7, 8, 9]), columns, np.ones(10, bool), rng
    )
    assert axes_IR is None
    np.testing.assert_array_equal(behaviour, [1, 4])
