"""How much of the network counts: sure gains do, noise does not."""

import numpy as np
import pytest

from tasks.lnm.gating import SHARES, Choice, apply_choices, least_cost
from tasks.lnm.recording import Columns
from tasks.lnm.windows import TaskWeights


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


def test_choices_reach_their_columns_and_horizons():
    columns = Columns(("n0", "n1", "run"), ("ca", "ca", "run"), ("calcium", "calcium", "motion"))
    spread = TaskWeights.filled(0.5, 2, 3)
    choices = {
        "decode": Choice({2: SHARES[-1]}, {2: 2.0}),
        # target * horizons + horizon: units one sample ahead, running two.
        "forecast": Choice({0: 0.5, 3: 1.0}, {0: 1.0, 3: 1.0}, {1: 0.25}),
    }
    mixing = apply_choices(spread, choices, columns, (1, 2))
    np.testing.assert_allclose(mixing.gate.two_sided["decode"], [0, 0, 0.5])
    np.testing.assert_allclose(mixing.spread.two_sided["decode"], [0.5, 0.5, 1.0])
    np.testing.assert_allclose(mixing.gate.forecast_HV, [[0.25, 0.25, 0], [0, 0, 0.5]])
    np.testing.assert_allclose(mixing.middle_HV, [[0, 0, 0], [0.125, 0.125, 0]])
    np.testing.assert_allclose(mixing.gate.two_sided["encode"], 0)
