"""The free run: a slow twin of the kernel, bounds, seeds, starts."""

import numpy as np
import pytest

from tasks.twin.generate import Choice, animate_stretches, run_network
from tasks.twin.library import build_library, run_lengths
from tasks.twin.network import Edge, Network

NETWORK = Network(("b", "n"), ("b",), (Edge("n", "b", 0.9), Edge("b", "n", 0.5)))


@pytest.fixture(scope="module")
def wave_TN():
    phase = np.arange(400) * 2 * np.pi / 37
    noise = np.random.default_rng(0).standard_normal((400, 2))
    return np.column_stack([np.sin(phase), np.cos(phase)]) + 0.05 * noise


@pytest.fixture(scope="module")
def library(wave_TN):
    whole = np.ones(400, bool)
    return build_library(
        wave_TN, np.zeros(400, int), whole, NETWORK, {"b": 2, "n": 2}, 1, 1, 0.1, 10_000
    )


def obvious_run(library, choice, history_HN, steps, uniform_TN):
    """Say in plain NumPy what one run of the kernel does."""
    path = list(history_HN)
    neighbours = choice.neighbours * (3 if choice.rule == "linear" else 1)
    for step in range(steps):
        new = []
        for node in range(history_HN.shape[1]):
            used = library.coordinates[library.first_N1[node] : library.first_N1[node + 1]]
            here = np.array([path[-1 - library.lag_C[c]][library.node_C[c]] for c in used])
            states_LD = library.columns_CL[used].T
            distance_L = np.linalg.norm(states_LD - here, axis=1)
            near = np.argsort(distance_L, kind="stable")[:neighbours]
            distance = distance_L[near]
            scale = max(distance.mean(), 1e-12)
            weight = np.exp(-choice.theta * distance / scale)
            start = 0.0 if choice.rule == "value" else path[-1][node]
            target = library.next_NL[node, near]
            target = target - (0.0 if choice.rule == "value" else library.now_NL[node, near])
            fitted = np.full(len(near), np.average(target, weights=weight))
            expected = fitted[0]
            if choice.rule == "linear":
                design = np.column_stack([states_LD[near] - here, np.ones(len(near))])
                normal = design.T @ (weight[:, None] * design)
                shrink = 0.01 * np.trace(normal[:-1, :-1]) / len(used) + 1e-12
                normal[:-1, :-1] += shrink * np.eye(len(used))
                slopes = np.linalg.solve(normal, design.T @ (weight * target))
                fitted, expected = design @ slopes, slopes[-1]
            drawn = np.searchsorted(np.cumsum(weight), uniform_TN[step, node] * weight.sum())
            value = start + expected + choice.noise * (target[drawn] - fitted[drawn])
            low, high = library.next_NL[node, near].min(), library.next_NL[node, near].max()
            room = library.margin * (high - low)
            new.append(np.clip(value, low - room, high + room))
        path.append(np.array(new))
    return np.array(path[len(history_HN) :])


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("rule", ["value", "step", "linear"])
def test_the_kernel_agrees_with_its_obvious_twin(library, wave_TN, rule, noise):
    choice = Choice(1, rule, 6, 1.0, noise)
    history = wave_TN[100:103]
    fast = run_network(library, choice, history[None], 15, np.random.default_rng(5))[0]
    uniform_TN = np.random.default_rng(5).random((1, 15, 2))[0]
    np.testing.assert_allclose(
        fast, obvious_run(library, choice, history, 15, uniform_TN), atol=1e-6
    )


def test_without_noise_a_run_goes_round_the_cycle_it_learned(library, wave_TN):
    choice = Choice(1, "step", 8, 1.0, 0.0)
    path = run_network(library, choice, wave_TN[None, 50:53], 370, np.random.default_rng(0))[0]
    power = np.abs(np.fft.rfft(path[:, 0]))
    assert power[1:].argmax() + 1 == 10
    assert path[:, 0].std() == pytest.approx(wave_TN[:, 0].std(), rel=0.15)


@pytest.mark.parametrize("rule", ["value", "step", "linear"])
def test_never_leaves_the_training_range_by_more_than_the_margin(library, rule):
    choice = Choice(1, rule, 4, 1.0, 3.0)
    far = np.full((2, 3, 2), 50.0)
    path = run_network(library, choice, far, 200, np.random.default_rng(0))
    assert np.isfinite(path).all()
    room = 0.1 * np.ptp(library.next_NL, axis=1)
    assert (path >= library.next_NL.min(axis=1) - room).all()
    assert (path <= library.next_NL.max(axis=1) + room).all()


def test_an_animal_at_rest_rests(wave_TN):
    still_TN = wave_TN.copy()
    still_TN[100:300] = 0.0
    whole = np.ones(400, bool)
    library = build_library(
        still_TN, np.zeros(400, int), whole, NETWORK, {"b": 2, "n": 2}, 1, 1, 0.1, 10_000
    )
    for rule in ("value", "step", "linear"):
        choice = Choice(1, rule, 8, 1.0, 1.0)
        path = run_network(library, choice, np.zeros((1, 2, 2)), 50, np.random.default_rng(0))
        assert np.abs(path).max() < 1e-9


def test_the_seed_decides_the_run(library, wave_TN):
    choice = Choice(1, "step", 8, 1.0, 1.0)
    history = np.repeat(wave_TN[None, 50:53], 3, axis=0)
    one, same, other = (
        run_network(library, choice, history, 40, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])


def test_a_stretch_after_a_gap_starts_from_the_library(library, wave_TN):
    segment_T = np.repeat([0, 1], 200)
    test_T = np.zeros(400, bool)
    test_T[180:] = True
    known_T = run_lengths(~test_T, segment_T)
    seen = []

    def note(history_SHN, steps):
        seen.append(history_SHN)
        return np.zeros((len(history_SHN), steps, 2))

    stretches = [slice(180, 200), slice(200, 400)]
    rng = np.random.default_rng(0)
    path = animate_stretches(wave_TN, library, stretches, known_T, 4, rng, note)
    assert np.isnan(path[:, :180]).all()
    assert np.isfinite(path[:, 180:]).all()
    depth = library.depth
    np.testing.assert_array_equal(seen[0], np.repeat(wave_TN[None, 180 - depth : 180], 4, axis=0))
    assert len({history.tobytes() for history in seen[1]}) > 1
