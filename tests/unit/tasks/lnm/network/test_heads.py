"""Each family against scipy and against its own draws; known scatter is found again."""

import numpy as np
import pytest
import torch
from scipy import stats

from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.network.circle import VonMises
from tasks.lnm.network.distributions import HEADS, Distribution, circular_error
from tasks.lnm.network.heads import Told
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.query import decode, impute, query
from tasks.lnm.results import train_and_examine
from tasks.lnm.training.calibration import fit_noise
from tasks.lnm.training.noise_fit import Asked

DRAWS = 40_000


def tensors(*arrays):
    return [torch.tensor(np.asarray(a, float), dtype=torch.float64) for a in arrays]


@pytest.fixture
def told():
    """Return a few cases of each family: mean, scale, tail."""
    cases = {
        "student_t": ([0.0, 1.0, -2.0], [1.0, 2.0, 0.5], [0.0, 0.1, 0.25]),
        "negative_binomial": ([0.3, 2.0, 40.0, 5.0], [0.0, 0.7, 0.2, 2.0], [0.0] * 4),
        "bernoulli": ([0.2, 0.7], [1.0, 1.0], [0.0, 0.0]),
        "categorical": ([0.2, 0.5, 0.3], [1.0] * 3, [0.0] * 3),
        # Cosines of three angles, then their sines; the last angle is anything.
        "von_mises": ([0.9, -0.8, 0.1, 0.1, -0.5, 0.0], [0.02, 0.5, 4.0] * 2, [0.0] * 6),
    }
    return {name: Told(*map(np.array, parts)) for name, parts in cases.items()}


def test_likelihoods_are_those_of_scipy(told):
    real, case = np.array([0.3, 4.0, -2.5]), told["student_t"]
    freedom = 1 / np.maximum(case.tail, 1e-9)
    expected = -stats.t.logpdf(real, freedom, case.mean, case.scale)
    nll = HEADS["student_t"].nll(*tensors(real, *case)).numpy()
    np.testing.assert_allclose(nll, expected, atol=1e-3)
    np.testing.assert_allclose(nll[1:], expected[1:], atol=1e-12)

    real, case = np.array([2.0, 0.0, 31.0, 7.0]), told["negative_binomial"]
    size = 1 / np.maximum(case.scale, 1e-3) ** 2
    expected = -stats.nbinom.logpmf(real, size, size / (size + case.mean))
    expected[0] = -stats.poisson.logpmf(real[0], case.mean[0])
    nll = HEADS["negative_binomial"].nll(*tensors(real, *case))
    np.testing.assert_allclose(nll, expected, atol=1e-10)

    real, case = np.array([1.0, 0.0]), told["bernoulli"]
    expected = -stats.bernoulli.logpmf(real, case.mean)
    np.testing.assert_allclose(HEADS["bernoulli"].nll(*tensors(real, *case)), expected)

    real, case = np.array([0.0, 1.0, 0.0]), told["categorical"]
    # Means need not sum to 1; categories share what they sum to.
    nll = HEADS["categorical"].nll(*tensors(real, 2 * case.mean, case.scale, case.tail))
    np.testing.assert_allclose(nll, [0.0, -np.log(0.5), 0.0])

    case, angle = told["von_mises"], np.array([0.2, 3.0, -1.0])
    real = np.r_[np.cos(angle), np.sin(angle)]
    ahead = np.arctan2(case.mean[3:], case.mean[:3])
    expected = -stats.vonmises.logpdf(angle, 1 / case.scale[:3] ** 2, ahead)
    nll = HEADS["von_mises"].nll(*tensors(real, *case)).numpy()
    np.testing.assert_allclose(nll[:3] + nll[3:], expected, rtol=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_every_figure_is_that_of_its_draws(name, told):
    head, case = HEADS[name], told[name]
    rng = np.random.default_rng(0)
    many = Told(*(np.tile(part, (DRAWS, 1)) for part in case))
    drawn, other, real = head.sample(many, rng), head.sample(many, rng), head.sample(case, rng)
    size = drawn.std(0) + 1e-3
    np.testing.assert_allclose(head.sd(case) / size, drawn.std(0) / size, atol=0.06)
    scattered = np.abs(drawn - real).mean(0) - 0.5 * np.abs(drawn - other).mean(0)
    np.testing.assert_allclose(head.crps(real, case) / size, scattered / size, atol=0.02)
    below, at_most = head.cdf(real, case)
    np.testing.assert_allclose(below, (drawn < real - 1e-9).mean(0), atol=0.015)
    np.testing.assert_allclose(at_most, (drawn <= real + 1e-9).mean(0), atol=0.015)
    for level in (0.05, 0.5, 0.9):
        value = head.quantile(case, level)
        # The least value that at least this share is not above.
        assert ((drawn <= value + 0.02 * size).mean(0) > level - 0.015).all()
        assert ((drawn < value - 0.02 * size).mean(0) < level + 0.015).all()


def make_distribution(name: str, case: Told) -> Distribution:
    count = case.mean.shape[-1]
    names = tuple(f"a{v}" for v in range(count))
    if name == "von_mises":
        names = tuple(f"a{v}_{part}" for part in ("cos", "sin") for v in range(count // 2))
    kind = "motion"
    if name == "categorical":
        names, kind = tuple(f"trials/side={v}" for v in range(count)), "intervals"
    columns = Columns(names, names, (kind,) * count)
    return Distribution.of(case, (name,) * count, columns)


@pytest.mark.parametrize("name", HEADS)
def test_a_level_leads_back_to_its_value_and_levels_of_draws_are_even(name, told):
    rng = np.random.default_rng(0)
    many = Told(*(np.tile(part, (4000, 1)) for part in told[name]))
    distribution = make_distribution(name, many)
    real = distribution.sample(rng)
    levels = distribution.levels(real, rng)
    error = np.abs(distribution.at(levels) - real)
    # Angles come back as the nearest of so many equally likely ones.
    assert np.quantile(error, 0.9) < (0.06 if name == "von_mises" else 1e-9)
    for level in (0.1, 0.5, 0.9):
        np.testing.assert_allclose((levels < level).mean(0), level, atol=0.03)
    real[0] = np.nan
    assert np.isnan(distribution.levels(real, rng)[0]).all()


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_finite_at_extremes(name):
    real, mean = (0.0, 1.0, 500.0), (1e-12, 1.0, 400.0)
    if name in ("bernoulli", "von_mises", "categorical"):
        real, mean = (0.0, 1.0), (0.0, 1.0)
    for scale in (1e-6, 1e-3, 1.0, 1e4):
        for tail in (0.0, 0.45):
            grid = np.array([(y, m) for y in real for m in mean])
            arrays = (grid[:, 0], grid[:, 1], 0 * grid[:, 0] + scale, 0 * grid[:, 0] + tail)
            y, *asked = tensors(*arrays)
            asked = [part.requires_grad_() for part in asked]
            nll = HEADS[name].nll(y, *asked)
            nll.sum().backward()
            assert torch.isfinite(nll).all()
            assert all(torch.isfinite(a.grad).all() for a in asked if a.grad is not None)


def test_directions_do_not_jump_where_the_circle_closes():
    angle = np.deg2rad([[350.0, 179.0], [10.0, -179.0]])
    mean = np.r_[np.cos(angle).mean(0), np.sin(angle).mean(0)]
    found = VonMises().direction(Told(mean, np.full(4, 0.1), np.zeros(4)))
    assert circular_error(found, np.deg2rad([0.0, 180.0])).max() < 1e-9
    assert np.rad2deg(circular_error(np.deg2rad(359.0), np.deg2rad(1.0))) == pytest.approx(2.0)
    high = VonMises().direction(Told(mean, np.full(4, 0.1), np.zeros(4)), 0.975)
    assert np.rad2deg(circular_error(high, found)) == pytest.approx(np.rad2deg(0.196), rel=0.02)


def make_asked(name: str, rng: np.random.Generator, rows: int = 4000):
    """Return draws of one known distribution, and what a network says of them."""
    ones = np.ones((rows, 2))
    scale = np.exp(0.8 * np.sin(np.arange(rows) / 40))[:, None] * ones
    if name == "student_t":
        columns, truth = Columns(("a", "b"), ("a", "b"), ("motion",) * 2), (0.5, 1.0, 0.2)
        mean = rng.standard_normal((rows, 2))
    elif name == "negative_binomial":
        columns, truth = Columns(("a", "b"), ("s", "s"), ("spikes",) * 2), (0.65, 0.0, 0.0)
        mean = np.exp(0.5 * rng.standard_normal((rows, 2))) * [1.0, 4.0]
    else:
        columns, truth = Columns(("x_cos", "x_sin"), ("x", "x"), ("motion",) * 2), (0.4, 1.0, 0.0)
        turn = np.cumsum(0.1 * rng.standard_normal(rows))
        mean = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    told = Told(mean, truth[0] * scale ** truth[1], ones * truth[2])
    real = HEADS[name].sample(told, rng)
    return Asked(real, mean, scale, np.ones(2), np.ones(2)), columns, truth


@pytest.mark.parametrize("name", ["student_t", "negative_binomial", "von_mises"])
def test_known_scatter_is_found_again_and_covers_what_it_says(name):
    rng = np.random.default_rng(1)
    asked, columns, truth = make_asked(name, rng)
    factor_V, power_V, tail_V = fit_noise(asked, (name,) * 2, columns, 64)
    np.testing.assert_allclose(power_V, truth[1])
    np.testing.assert_allclose(factor_V, truth[0], rtol=0.15)
    # A score of the whole distribution tells little of the tail by itself; coverage must be right.
    np.testing.assert_allclose(tail_V, truth[2], atol=0.15)
    later, _, _ = make_asked(name, np.random.default_rng(2))
    scale = factor_V * later.scale_TV**power_V
    told = Told(later.mean_TV, scale, 0 * scale + tail_V)
    distribution = Distribution.of(told, (name,) * 2, columns)
    for share in (0.5, 0.8, 0.95):
        assert distribution.covered(later.real_TV, share).mean() == pytest.approx(share, abs=0.04)


def test_counts_that_do_not_clump_are_poisson():
    rng = np.random.default_rng(0)
    mean = np.exp(0.5 * rng.standard_normal((2000, 3)))
    asked = Asked(rng.poisson(mean).astype(float), mean, np.ones_like(mean), np.ones(3), np.ones(3))
    columns = Columns(("a", "b", "c"), ("s",) * 3, ("spikes",) * 3)
    factor_V, _, _ = fit_noise(asked, ("negative_binomial",) * 3, columns, 64)
    assert factor_V.max() <= 0.2


@pytest.fixture(scope="module")
def turning():
    """Clumped counts of six units tuned to heading; the heading, a lick line and a speed."""
    rng = np.random.default_rng(7)
    length = 3000
    # Mostly one way, so that mean cosine and sine are not 0.
    turns = 0.15 * rng.standard_normal(length)
    heading_T = np.zeros(length)
    for t in range(1, length):
        heading_T[t] = heading_T[t - 1] + turns[t] - 0.02 * np.sin(heading_T[t - 1] - 0.7)
    tuned_TN = 2 * np.exp(np.cos(heading_T[:, None] - np.arange(6)) - 0.5)
    clumped_TN = tuned_TN * rng.gamma(4.0, 0.25, (length, 6))
    lick_T = rng.random(length) < 0.5 + 0.4 * np.sin(heading_T)
    channels = [np.cos(heading_T), np.sin(heading_T), lick_T, tuned_TN[:, 0]]
    values_TV = np.column_stack([rng.poisson(clumped_TN), *channels]).astype(np.float32)
    columns = Columns(
        (*(f"units/u{i}" for i in range(6)), "pose/heading_cos", "pose/heading_sin", "lick", "v"),
        ("units",) * 6 + ("pose", "pose", "lick", "v"),
        ("spikes",) * 6 + ("pose", "pose", "motion", "motion"),
    )
    segment_T = np.zeros(length, np.int64)
    return Recording(values_TV, np.arange(length) / 10.0, segment_T, 10.0, columns)


@pytest.fixture(scope="module")
def turned(turning, quick):
    """The stage on `turning`, its network untrained: what counts here is beyond the mean."""
    settings = quick.model_copy(update={"steps": 0, "baselines": (), "generated_s": 1.0})
    return train_and_examine(turning, settings)


def test_heads_follow_from_what_columns_are(turned, turning, tmp_path):
    heads = ("negative_binomial",) * 6 + ("von_mises", "von_mises", "bernoulli", "student_t")
    assert turned.session.heads == heads
    assert turned.model.network.config.heads == heads
    save_model(turned.model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.network.config.heads == heads
    one, two = (decode(m, turning, t0=10.0, t1=60.0) for m in (turned.model, loaded))
    assert one.drop_attrs().identical(two.drop_attrs())


def test_answers_are_coherent_with_their_draws(turned, turning):
    test_T = turned.session.split.test
    when = dict(zip(("t0", "t1"), turning.time_T[test_T][[0, -1]], strict=True))
    answer = decode(turned.model, turning, **when, n_samples=300)  # type: ignore[arg-type]
    drawn = answer["sample"].sel(column=["pose/heading_cos", "pose/heading_sin"])
    np.testing.assert_allclose((drawn**2).sum("column"), 1.0, atol=1e-5)
    angle = np.arctan2(drawn[..., 1].values, drawn[..., 0].values)
    ahead = answer["direction"].values[:, 0]
    assert circular_error(np.angle(np.exp(1j * angle).mean(0)), ahead).mean() < 0.2
    real = turning.values_TV[test_T]
    truth = np.arctan2(real[:, 7], real[:, 6])
    edges = answer["direction_quantile"].sel(quantile=[0.05, 0.95], angle="pose/heading").values
    away = [np.angle(np.exp(1j * (x - ahead))) for x in (edges[0], truth, edges[1])]
    assert ((away[0] <= away[1]) & (away[1] <= away[2])).mean() == pytest.approx(0.9, abs=0.07)
    lick = answer.sel(column="lick")
    assert set(np.unique(lick["sample"])) == {0.0, 1.0}
    lone = query(turned.model, turning, ["pose/heading_cos"], **when)  # type: ignore[arg-type]
    assert "direction" not in lone
    assert np.isfinite(lone["quantile_value"]).all()


def test_clumped_counts_are_not_taken_for_poisson(turned, turning):
    clumping = turned.model.noise.factor.two_sided["encode"][:6]
    # The gamma's coefficient of variation is a half.
    assert 0.3 <= np.median(clumping) <= 0.65
    answer = impute(turned.model, turning, ["units"], t0=250.0)
    assert (answer["sd"] > np.sqrt(answer["mean"])).all()
    scores = [s for s in turned.exam.scores if s.task == "encode"]
    assert scores[0].quality.coverage == pytest.approx(0.9, abs=0.04)
