"""Scores with an interval, and the verdict: did the model beat the best baseline?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.locations import Functional
from tasks.lnm.data.recording import Floats
from tasks.lnm.scores.quality import UNKNOWN, Quality

Verdict = Literal["win", "tie", "loss"]
Metric = Literal["r2", "bits_per_spike", "mae"]
Key = tuple[str, str, Metric, int]
"""Task, target, metric, and horizon (-1 if none): what a score is of."""
FEWEST_SAMPLES = 16
FEWEST_BLOCKS = 8
LEAST_RATE = 1e-4
SAME = 1e-5
"""Differences of scores up to this are what float32 arithmetic makes of equal answers."""


@dataclass(frozen=True)
class Score:
    """One row of the verdict table; higher is better in every metric but `mae`.

    best : the baseline that validation chose: the bar
    baselines : the score of each baseline that answers this
    low, high : 95 % interval of how much better the model does than the bar on the test part
    verdict : win if the whole interval is above 0, loss if it is below, else tie
    quality : what the distribution is worth, and correlations; of the first metric only
    """

    task: str
    target: str
    metric: Metric
    horizon: int
    model: float
    best: str
    baselines: Mapping[str, float]
    low: float
    high: float
    verdict: Verdict
    quality: Quality = field(default=UNKNOWN)

    @property
    def key(self) -> Key:
        """What it is a score of."""
        return self.task, self.target, self.metric, self.horizon


def key_coords(keys: Sequence[Key]) -> dict[str, tuple[str, list[str | int]]]:
    """Return the coordinates that tell what the scores of a Dataset are of."""
    names = ("task", "target", "metric", "horizon")
    return {name: ("score", [key[at] for key in keys]) for at, name in enumerate(names)}


def metrics_of(counts: bool, horizon: int) -> tuple[Metric, ...]:
    """Return what a target is scored by.

    Forecasts in R2 for counts too, because persistence has no likelihood, and in mean absolute
    error, as in ZAPBench.
    """
    if horizon > 0:
        return ("r2", "mae")
    return ("bits_per_spike",) if counts else ("r2",)


def functional_of(metric: Metric) -> Functional:
    """Return what of a predicted distribution a metric is answered with.

    The mean makes squared errors least, the median absolute ones; asked for the other, every
    forecaster of skewed values would be marked down (Gneiting 2011, doi:10.1198/jasa.2011.r10138).
    """
    return "median" if metric == "mae" else "mean"


def score_answers(
    task: str,
    target: str,
    real_TV: Floats,
    answers: Mapping[str, Floats],
    *,
    metric: Metric,
    best: str,
    sd_V: Floats,
    horizon: int = -1,
    block: int,
    resamples: int,
    seed: int,
    quality: Quality = UNKNOWN,
) -> Score | None:
    """Score the model and every baseline on the same valid samples of one target.

    Columns are pooled: R2 is one less the summed squared error over the summed variance about the
    test mean, each column in its training standard deviations; the mean absolute error is in
    those too. Bits per spike is the Poisson log-likelihood gained over each unit's mean test rate
    (Pei et al. 2021, arXiv:2109.04463).

    Parameters
    ----------
    real_TV : (time, column) truth, NaN where not valid
    answers : "model" and baselines: (time, column)
    best : the baseline that the model is compared with
    block : samples that are resampled together, for they are not independent

    Returns
    -------
    None where there is nothing to score: too few valid samples or a constant target.
    """
    gains, norm_T = gains_by_sample(metric, real_TV, answers, sd_V)
    if "model" not in gains or norm_T.sum() <= 1e-9:
        return None
    sign = -1.0 if metric == "mae" else 1.0
    scores = {name: sign * float(gained.sum() / norm_T.sum()) for name, gained in gains.items()}
    low, high = bootstrap_difference(
        gains["model"] - gains[best], norm_T, block, resamples, np.random.default_rng(seed)
    )
    model = scores.pop("model")
    return Score(
        task, target, metric, horizon, model, best, scores, low, high, judge(low, high), quality
    )


def score_alone(
    metric: Metric, real_TV: Floats, answers: Mapping[str, Floats], sd_V: Floats
) -> dict[str, float]:
    """Return how good each answer is, higher being better; nothing where there is no telling."""
    gains, norm_T = gains_by_sample(metric, real_TV, answers, sd_V)
    total = norm_T.sum()
    return {n: float(g.sum() / total) for n, g in gains.items()} if total > 1e-9 else {}


def gains_by_sample(
    metric: Metric, real_TV: Floats, answers: Mapping[str, Floats], sd_V: Floats
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Return each answer's gain at each valid sample, and what the gains' sum is divided by."""
    measure = Measure.of(metric, real_TV, sd_V)
    if measure is None:
        return {}, np.zeros(0)
    known = {name: answer for name, answer in answers.items() if np.isfinite(answer).any()}
    return {name: measure.gain(answer) for name, answer in known.items()}, measure.norm_T


def judge(low: float, high: float) -> Verdict:
    """Return the verdict of a 95 % interval of the difference to the best baseline."""
    if low > SAME:
        return "win"
    return "loss" if high < -SAME else "tie"


def bootstrap_difference(
    gain_T: NDArray[np.float64],
    norm_T: NDArray[np.float64],
    block: int,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return the 95 % interval of sum(gain) / sum(norm) over resampled blocks of time.

    Circular blocks of `block` samples, or an eighth of the samples if that is shorter
    (Politis & Romano 1992).
    """
    samples = len(gain_T)
    length = max(1, min(block, samples // FEWEST_BLOCKS))
    blocks = -(-samples // length)
    starts = rng.integers(samples, size=(resamples, blocks))
    # Sums over every circular block at once; a resample is then a sum of a few of them.
    gain_B, norm_B = (_circular_sums(values, length) for values in (gain_T, norm_T))
    ratio = gain_B[starts].sum(1) / np.maximum(norm_B[starts].sum(1), 1e-12)
    low, high = np.percentile(ratio, [2.5, 97.5])
    return float(low), float(high)


def _circular_sums(values_T: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    total = np.cumsum(np.r_[0.0, values_T, values_T[: length - 1]])
    return np.asarray(total[length:] - total[:-length])


@dataclass(frozen=True)
class Measure:
    """A metric with the truth that many answers are held to.

    rows_T : samples in which anything is valid; all else is of these alone
    norm_T : what the sum of gains is divided by
    cost : (time, column) answers to what each sample costs
    least_T : what the answer that gains nothing costs
    """

    rows_T: NDArray[np.bool_]
    norm_T: NDArray[np.float64]
    cost: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    least_T: NDArray[np.float64]

    @classmethod
    def of(cls, metric: Metric, real_TV: Floats, sd_V: Floats) -> "Measure | None":
        """Return the measure; None where too few samples are valid."""
        valid_TV = np.isfinite(real_TV)
        rows_T = valid_TV.any(1)
        if rows_T.sum() < FEWEST_SAMPLES:
            return None
        truth_TV = real_TV[rows_T].astype(np.float64)
        return cls(rows_T, *_MEASURES[metric](truth_TV, valid_TV[rows_T], sd_V))

    def gain(self, answer_TV: Floats) -> NDArray[np.float64]:
        """Return an answer's gain at each valid sample."""
        own_TV = answer_TV if self.rows_T.all() else answer_TV[self.rows_T]
        return self.least_T - self.cost(own_TV.astype(np.float64))


_Measured = tuple[
    NDArray[np.float64],
    Callable[[NDArray[np.float64]], NDArray[np.float64]],
    NDArray[np.float64],
]


def _variance_explained(
    real_TV: NDArray[np.float64], valid_TV: NDArray[np.bool_], sd_V: Floats
) -> _Measured:
    """Measure squared errors beside the variance that is there, summed over columns."""
    counted_V = valid_TV.sum(0)
    mean_V = np.where(valid_TV, real_TV, 0).sum(0) / np.maximum(counted_V, 1)
    there_TV = np.where(valid_TV, ((real_TV - mean_V) / sd_V) ** 2, 0)
    # A column that is constant in the test part has nothing to explain, whatever it costs.
    varies_V = there_TV.sum(0) > 1e-9 * np.maximum(counted_V, 1)
    there_T, every = there_TV[:, varies_V].sum(1), bool(valid_TV.all())

    def cost(answer_TV: NDArray[np.float64]) -> NDArray[np.float64]:
        missed_TV = (real_TV - answer_TV) / sd_V
        if not every:
            missed_TV[~valid_TV] = 0
        missed_TV[:, ~varies_V] = 0
        return np.asarray(np.einsum("tv,tv->t", missed_TV, missed_TV))

    return there_T, cost, there_T


def _bits_gained(
    real_TV: NDArray[np.float64], valid_TV: NDArray[np.bool_], sd_V: Floats
) -> _Measured:
    """Measure the log-likelihood beside that of the mean rate, and the spikes, in bits * ln 2."""
    mean_V = np.where(valid_TV, real_TV, 0).sum(0) / np.maximum(valid_TV.sum(0), 1)
    null_V, kept_TV = np.maximum(mean_V, LEAST_RATE), valid_TV & (mean_V > 0)
    known_TV = np.where(kept_TV, real_TV, 0)

    def cost(answer_TV: NDArray[np.float64]) -> NDArray[np.float64]:
        rate_TV = np.maximum(answer_TV, LEAST_RATE)
        lost_TV = rate_TV - null_V - known_TV * np.log(rate_TV / null_V)
        return np.asarray(np.where(kept_TV, lost_TV, 0).sum(1))

    return np.log(2) * known_TV.sum(1), cost, np.zeros(len(real_TV))


def _absolute_error(
    real_TV: NDArray[np.float64], valid_TV: NDArray[np.bool_], sd_V: Floats
) -> _Measured:
    """Measure the absolute error, and how many values were valid."""

    def cost(answer_TV: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.where(valid_TV, np.abs(real_TV - answer_TV) / sd_V, 0).sum(1))

    return valid_TV.sum(1).astype(np.float64), cost, np.zeros(len(real_TV))


_MEASURES: Mapping[Metric, Callable[..., _Measured]] = {
    "r2": _variance_explained,
    "bits_per_spike": _bits_gained,
    "mae": _absolute_error,
}
