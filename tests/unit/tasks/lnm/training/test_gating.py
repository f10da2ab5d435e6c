"""How much of the network counts: sure gains do, noise does not."""

import numpy as np
import pytest

from tasks.lnm.data.recording import Columns
from tasks.lnm.network.windows import TaskWeights
from tasks.lnm.scores.gains import least_cost
from tasks.lnm.training.gating import (
    SHARES,
    Measured,
    Share,
    apply_choices,
    choose_shares,
    pool_evidence,
)


def cost(gains, noise, windows=20):
    """Return (share, one group, window) costs that fall by `gains` on average."""
    rng = np.random.default_rng(0)
    jitter = rng.standard_normal(windows)
    jitter -= jitter.mean()
    return np.stack([1 - gain + noise * share * jitter for share, gain in gains.items()])[:, None]


@pytest.mark.parametrize(
    ("gains", "noise", "chosen"),
    [
        ({0.0: 0.0, 0.5: 0.2, 1.0: 0.1}, 0.1, 1),
        ({0.0: 0.0, 0.5: 0.2, 1.0: 0.3}, 0.1, 2),
        ({0.0: 0.0, 0.5: 0.1, 1.0: 0.1}, 3.0, 0),
        ({0.0: 0.0, 0.5: -0.2, 1.0: -0.3}, 0.1, 0),
    ],
)
def test_only_sure_gains_open_a_gate(gains, noise, chosen):
    assert least_cost(cost(gains, noise)) == [chosen]


def test_a_gain_in_one_half_of_validation_alone_opens_nothing():
    costs = cost({0.0: 0.0, 1.0: 0.1}, 0.0)
    assert least_cost(costs) == [1]
    costs[1, :, 10:] = costs[0, :, 10:] + 0.01
    assert least_cost(costs) == [0]


def test_the_same_gain_is_less_sure_on_few_blocks():
    gain_C = np.tile([0.4, -0.1], 10)
    costs = np.stack([np.ones(20), 1 - gain_C])[:, None]
    assert least_cost(costs) == [1]
    assert least_cost(costs[..., :4]) == [0]
    assert least_cost(cost({0.0: 0.0, 1.0: 0.1}, 0.0)[..., :3]) == [0]


def test_blocks_without_a_group_are_left_out():
    costs = cost({0.0: 0.0, 1.0: 0.1}, 0.0)
    costs[:, :, ::3] = np.nan
    assert least_cost(costs) == [1]


def test_a_lone_share_is_taken_as_it_is():
    assert least_cost(cost({1.0: -0.5}, 0.1)) == [0]


@pytest.mark.parametrize(("more", "chosen"), [(0.05, 2), (0.005, 1)])
def test_the_greater_share_is_taken_where_it_is_surely_better(more, chosen):
    wide_C, narrow_C = np.random.default_rng(0).standard_normal((2, 40))
    # Gains differ much from block to block, what the full share adds to them does not.
    gain_C = 0.6 + wide_C - wide_C.mean()
    more_C = more + 0.1 * (narrow_C - narrow_C.mean())
    costs = np.stack([0 * gain_C, -gain_C, -gain_C - more_C])[:, None]
    assert least_cost(costs) == [chosen]


def test_blocks_of_several_networks_are_weighed_together():
    few = {0.0: 0.0, 0.25: 0.02, 0.5: 0.05, 0.75: 0.08, 1.0: 0.1}
    own_AC = cost(few, 0.3, windows=8)[:, 0]
    measured = Measured(own_AC, np.zeros((5, 0)), np.full((5, 8), 4.0))
    asked = ("decode", "run", 0)
    assert choose_shares({asked: measured}, 1.0)[asked].mean == 0.0
    pooled = pool_evidence([{asked: measured}] * 8)
    assert pooled[asked].error_AC.shape == (5, 64)
    assert choose_shares(pooled, 9.0)[asked] == pytest.approx(Share(0.9, 0.0, 2.0))


def test_half_of_what_a_minute_is_sure_of_is_kept_with_its_spread():
    shares = np.array(SHARES)[:, None]
    rng = np.random.default_rng(0)
    left_C = 1 + rng.random(24)
    added_C = left_C + 0.1 * rng.standard_normal(24)
    missed_AC = (left_C - shares * added_C) ** 2
    measured = Measured(missed_AC, missed_AC, missed_AC)
    asked = ("forecast", "run", 0)
    chosen = choose_shares({asked: measured}, 1.0)[asked]
    assert (chosen.mean, chosen.middle) == (0.5, 0.5)
    assert chosen.spread == pytest.approx(np.sqrt(((left_C - 0.5 * added_C) ** 2).mean()))


def test_choices_reach_their_columns_and_horizons():
    columns = Columns(("n0", "n1", "run"), ("ca", "ca", "run"), ("calcium", "calcium", "motion"))
    spread = TaskWeights.filled(0.5, 2, 3)
    choices = {
        ("decode", "run", 0): Share(1.0, 0.0, 2.0),
        ("forecast", "ca", 0): Share(0.5, 0.0, 1.0),
        ("forecast", "ca", 1): Share(0.0, 0.25, 1.0),
        ("forecast", "run", 1): Share(1.0, 0.0, 1.0),
    }
    mixing = apply_choices(spread, choices, columns, (1, 2))
    np.testing.assert_allclose(mixing.gate.two_sided["decode"], [0, 0, 0.5])
    np.testing.assert_allclose(mixing.spread.two_sided["decode"], [0.5, 0.5, 1.0])
    np.testing.assert_allclose(mixing.gate.forecast_HV, [[0.25, 0.25, 0], [0, 0, 0.5]])
    np.testing.assert_allclose(mixing.middle_HV, [[0, 0, 0], [0.125, 0.125, 0]])
    np.testing.assert_allclose(mixing.gate.two_sided["encode"], 0)
