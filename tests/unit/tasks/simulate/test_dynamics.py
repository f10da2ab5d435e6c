"""The network is chaotic but bounded, and cross mapping finds its edges."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.dynamics import CHAOTIC_DELAYS, draw_timescales, integrate_network, respond
from tasks.simulate.neurons import image_calcium
from tasks.simulate.wiring import Wiring, draw_wiring

LAGS = 6


def test_the_response_rises_and_then_falls() -> None:
    input_N = np.array([0.0, 0.5, 0.8, 1.0, 1.5])
    np.testing.assert_allclose(respond(input_N), 2 * input_N / (1 + input_N**10))
    assert respond(np.array([0.8]))[0] > respond(np.array([1.5]))[0]


def test_rates_stay_positive_and_bounded() -> None:
    settings = SimulateSettings(duration_s=30)
    rng = np.random.default_rng(0)
    rate_TN = integrate_network(draw_wiring(settings, rng), settings, rng).rate_TN
    assert rate_TN.min() > 0
    assert rate_TN.max() < 2
    assert (rate_TN.std(0) > 0.1).all(), "no unit falls silent or settles"


def test_every_unit_is_chaotic() -> None:
    """Sensitive dependence: a nudge of one part in a million grows a thousandfold in a minute."""
    settings = SimulateSettings(duration_s=60)
    units = 12
    names = tuple(f"u{i}" for i in range(2 * units))
    # The second half only nudges the first; its units are left to themselves.
    nudge = np.zeros((2 * units, 2 * units))
    nudge[np.arange(units), units + np.arange(units)] = 1e-6
    alone, nudged = (
        integrate_network(Wiring(names, weight, units), settings, np.random.default_rng(1)).rate_TN
        for weight in (np.zeros_like(nudge), nudge)
    )
    assert (np.abs(alone - nudged)[:, :units].max(0) > 1e-3).all()
    np.testing.assert_array_equal(alone[:, units:], nudged[:, units:])


def test_a_halved_step_shows_the_same_system() -> None:
    """The step is fine enough: the units' distributions do not depend on it."""
    coarse, fine = (SimulateSettings(duration_s=200, step_s=step) for step in (0.005, 0.0025))
    alone = Wiring(tuple("abcd"), np.zeros((4, 4)), 4)
    quantiles = [
        np.quantile(integrate_network(alone, s, np.random.default_rng(2)).rate_TN, [0.1, 0.5, 0.9])
        for s in (coarse, fine)
    ]
    np.testing.assert_allclose(quantiles[0], quantiles[1], atol=0.06)


def test_cross_mapping_finds_the_edges_that_correlation_misses() -> None:
    settings = SimulateSettings(
        calcium_units=20, spike_units=1, independent_units=4, feedback_units=2, duration_s=240
    )
    rng = np.random.default_rng(3)
    wiring = draw_wiring(settings, rng)
    _, calcium_TU = image_calcium(integrate_network(wiring, settings, rng), settings, rng)
    imaged = slice(0, settings.calcium_units)
    skill_UU = cross_map(calcium_TU.astype(np.float64))
    correlation_UU = np.abs(np.corrcoef(calcium_TU.T))
    pairs = ~np.eye(settings.calcium_units, dtype=bool)
    edge_P = wiring.weight_NN[imaged, imaged][pairs] > 0
    assert edge_P.sum() >= 8
    by_skill = roc_auc_score(edge_P, skill_UU[pairs])
    by_correlation = roc_auc_score(edge_P, correlation_UU[pairs])
    assert by_skill > 0.97
    assert by_skill > by_correlation + 0.03
    reverse_P = wiring.weight_NN.T[imaged, imaged][pairs] > 0
    only_P = edge_P & ~reverse_P
    assert np.median(skill_UU[pairs][only_P]) > 1.5 * np.median(skill_UU.T[pairs][only_P])


def cross_map(series_TU: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return skill (effect, cause): the plainest cross mapping there is."""
    rows = [
        np.corrcoef(_recover(series_TU, unit).T, series_TU[LAGS - 1 :].T)
        for unit in range(series_TU.shape[1])
    ]
    units = series_TU.shape[1]
    return np.stack([np.diag(row[:units, units:]) for row in rows])


def _recover(series_TU: NDArray[np.float64], effect: int) -> NDArray[np.float64]:
    history_TE = np.lib.stride_tricks.sliding_window_view(series_TU[:, effect], LAGS)
    distance_TK, neighbour_TK = cKDTree(history_TE).query(history_TE, LAGS + 2)
    distance_TK, neighbour_TK = distance_TK[:, 1:], neighbour_TK[:, 1:]
    weight_TK = np.exp(-distance_TK / distance_TK[:, :1])
    weight_TK /= weight_TK.sum(1, keepdims=True)
    return np.einsum("tk,tku->tu", weight_TK, series_TU[LAGS - 1 :][neighbour_TK])


@given(spread=st.floats(0, 0.5), units=st.integers(2, 200))
def test_timescales_lie_where_units_are_chaotic(spread: float, units: int) -> None:
    settings = SimulateSettings(spread=spread)
    constant_N, delay_N = draw_timescales(units, settings, np.random.default_rng(0))
    ratio_N = delay_N / constant_N
    assert CHAOTIC_DELAYS[0] - 1e-9 <= ratio_N.min() <= ratio_N.max() <= CHAOTIC_DELAYS[1] + 1e-9
    np.testing.assert_allclose(constant_N.mean(), settings.time_constant_s)
    np.testing.assert_allclose(
        np.ptp(constant_N), 2 * spread * settings.time_constant_s, atol=1e-12
    )
