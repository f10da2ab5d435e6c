"""Is a skill more than two unrelated series of this kind would show? And among so many pairs?"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore, divide, fetch_blocks
from tasks.causal.dimension import tau_samples, theiler_samples
from tasks.causal.engine import open_engine
from tasks.causal.skill import cross_map_problem
from tasks.causal.surrogates import SurrogateRule, make_surrogates

_PANEL_BYTES = 2**27
_LEAST_SURROGATES = 4


def cross_map_significance(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    skill: xr.DataArray,
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> xr.Dataset:
    """Compare every skill with those of surrogates of its cause.

    The null hypothesis is that effect and cause have nothing to do with each other. Surrogates
    stand in for the cause, so an effect's neighbours are the same for all.

    Returns
    -------
    Dataset (effect, cause) with `p_value` and `q_value`, the lowest false discovery rate at which
    the pair would still be accepted; NaN where the skill is undefined.
    """
    score_NM = np.full(skill.shape, np.nan)
    pool = ScorePool()
    # As many causes at a time as have surrogates that fit into a panel.
    series_bytes = 4 * settings.surrogates * nodes.sizes["time"]
    parts = divide(nodes.sizes["node"], max(1, _PANEL_BYTES // series_bytes))
    score = partial(_score, nodes, dimension_N, skill.to_numpy(), settings)
    blocks = fetch_blocks(store, "surrogates", parts, score, settings.backend)
    for causes, block in zip(parts, blocks, strict=True):
        score_NM[:, causes] = block["score"]
        pool.merge(block["counts"], block["highest"])
    p_NM = pool.p_values(score_NM)
    dims = ("effect", "cause")
    q_NM = false_discovery_rate(p_NM, settings.fdr_method)
    return xr.Dataset({"p_value": (dims, p_NM), "q_value": (dims, q_NM)}, dict(skill.coords))


def _score(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    skill_NM: NDArray[np.floating],
    settings: CausalSettings,
    causes: range,
) -> Block:
    """Return the scores of some causes' skills, and their part of the null of all pairs."""
    null_NMS = _null_skills(nodes, dimension_N, settings, causes)
    score_NC = standard_score(skill_NM[:, causes], null_NMS)
    # A series and its own surrogates are no unrelated pair.
    null_NMS[causes, range(len(causes))] = np.nan
    own = ScorePool()
    own.add(left_out_scores(null_NMS))
    return {"score": score_NC, "counts": own.counts, "highest": own.highest}


def standard_score(
    skill_NM: NDArray[np.floating], null_NMS: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return how many spreads of its surrogates' skills a skill lies above their mean.

    All in Fisher's z, with the spread of a prediction, sqrt(1 + 1/S) wider. NaN where the skill
    is undefined, or fewer than four of the S surrogates' skills are defined.

    skill_NM : (effect, cause); null_NMS : (effect, cause, surrogate)
    """
    z_NMS = fisher_z(null_NMS)
    count, mean, square = moments(z_NMS)
    return score_of(fisher_z(skill_NM), count, mean, square)


def left_out_scores(null_NMS: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each surrogate's standard score against the other surrogates of its pair."""
    z_NMS = fisher_z(null_NMS)
    count, mean, square = moments(z_NMS)
    count, mean, square = count[..., None], mean[..., None], square[..., None]
    others = np.maximum(count - 1, 1)
    mean_without = (count * mean - z_NMS) / others
    square_without = square - (z_NMS - mean) ** 2 * count / others
    return score_of(z_NMS, count - 1, mean_without, square_without)


class ScorePool:
    """Standard scores under the null, of all pairs together.

    Counting one pair's S surrogates resolves no p-value below 1/(S+1), far above what tests of
    all pairs need, and a normal tail is too thin where autocorrelation is strong. Once each pair
    has its own mean and spread the shape is much the same, so all pairs' scores are counted
    together, in narrow bins. Where fewer than ten lie higher, the tail fitted to the highest
    `_TAIL` of them takes over from counting.
    """

    _EDGES = np.linspace(-20, 60, 16_001)
    _TAIL, _COUNTED = 250, 10

    def __init__(self) -> None:
        self.counts = np.zeros(len(self._EDGES) + 1, np.int64)
        self.highest = np.empty(0)

    def add(self, score: NDArray[np.float64]) -> None:
        """Count scores of surrogates; NaN does not count."""
        finite = score[np.isfinite(score)]
        bins = np.searchsorted(self._EDGES, finite, side="right")
        self.counts += np.bincount(bins, minlength=len(self.counts))
        self._keep_highest(finite)

    def merge(self, counts: NDArray[np.generic], highest: NDArray[np.generic]) -> None:
        """Add what another pool counted."""
        self.counts += np.asarray(counts, np.int64)
        self._keep_highest(np.asarray(highest, np.float64))

    def _keep_highest(self, score: NDArray[np.float64]) -> None:
        together = np.concatenate([self.highest, score])
        kept = min(self._TAIL + 1, len(together))
        self.highest = np.partition(together, len(together) - kept)[len(together) - kept :]

    def p_values(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of the null that is at least as high, never 0; NaN stays NaN.

        References
        ----------
        Knijnenburg et al. 2009, doi:10.1093/bioinformatics/btp211 (the tail)
        """
        at_least = np.cumsum(self.counts[::-1])[::-1]
        bins = np.searchsorted(self._EDGES, np.nan_to_num(score), side="right")
        p = (1 + at_least[bins]) / (1 + at_least[0])
        total = int(self.counts.sum())
        # A tail is fitted only where it is one: 250 of at least 5,000 scores.
        if total >= 20 * self._TAIL:
            threshold = self.highest.min()
            tail = fit_pareto_tail(np.sort(self.highest - threshold)[1:])
            beyond = self._TAIL / total * tail.sf(np.nan_to_num(score) - threshold)
            beyond = np.maximum(beyond, np.finfo(np.float64).tiny)
            p = np.where(at_least[bins] < self._COUNTED, np.minimum(p, beyond), p)
        return np.where(np.isfinite(score), p, np.nan)


@dataclass(frozen=True)
class ParetoTail:
    """A generalised Pareto tail of excesses over a threshold, its shape never below zero."""

    shape: float
    scale: float

    def sf(self, excess: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of a larger excess; 1 below the threshold."""
        within = np.maximum(excess, 0) / self.scale
        if self.shape < 1e-9:
            return np.asarray(np.exp(-within))
        return np.asarray((1 + self.shape * within) ** (-1 / self.shape))


def fit_pareto_tail(excess_T: NDArray[np.float64]) -> ParetoTail:
    """Fit a generalised Pareto tail to ascending excesses by probability-weighted moments.

    A fit with an end (a negative shape) would make p-values of exactly zero: it is taken for an
    exponential tail, which is longer.

    References
    ----------
    Hosking & Wallis 1987, doi:10.2307/1269343
    """
    n = len(excess_T)
    rank = (np.arange(1, n + 1) - 0.35) / n
    first = float(excess_T.mean())
    second = float(((1 - rank) * excess_T).mean())
    shape = 2 - first / max(first - 2 * second, 1e-12)
    if first <= 0 or shape <= 0:
        return ParetoTail(0.0, max(first, 1e-12))
    scale = 2 * first * second / max(first - 2 * second, 1e-12)
    return ParetoTail(min(shape, 0.95), scale)


def fisher_z(skill: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Fisher's z; skills of 1 stay finite."""
    return np.arctanh(np.clip(skill.astype(np.float64), -0.999999, 0.999999))


def moments(
    z_NMS: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return count, mean and sum of squared deviations of the defined values."""
    defined = np.isfinite(z_NMS)
    count = defined.sum(-1)
    mean = np.where(defined, z_NMS, 0).sum(-1) / np.maximum(count, 1)
    return count, mean, np.where(defined, (z_NMS - mean[..., None]) ** 2, 0).sum(-1)


def score_of(
    z: NDArray[np.float64],
    count: NDArray[np.int64],
    mean: NDArray[np.float64],
    square: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return standard scores against nulls of which `moments` are given, as `standard_score` does.

    NaN where fewer than three values of a null are defined.
    """
    enough = (count >= _LEAST_SURROGATES - 1) & np.isfinite(z)
    safe = np.where(enough, count, 2)
    spread = np.sqrt(np.maximum(square / (safe - 1), 1e-12) * (1 + 1 / safe))
    return np.where(enough, (z - mean) / spread, np.nan)


def false_discovery_rate(p_NM: NDArray[np.float64], method: str = "bh") -> NDArray[np.float64]:
    """Return q-values by Benjamini and Hochberg ('bh') or, for any dependence, Yekutieli ('by').

    Undefined p-values (NaN) are no tests and stay NaN.

    References
    ----------
    Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x;
    Benjamini & Yekutieli 2001, doi:10.1214/aos/1013699998
    """
    q_NM = np.full(p_NM.shape, np.nan)
    tested = np.isfinite(p_NM)
    if tested.any():
        q_NM[tested] = stats.false_discovery_control(p_NM[tested], method=method)
    return q_NM


def false_discovery_rate_among(
    p_E: NDArray[np.float64], tests: int, method: str = "bh"
) -> NDArray[np.float64]:
    """Return q-values where only some of the tests' p-values are known and the rest count as 1.

    As of `false_discovery_rate`; undefined p-values stay NaN.
    """
    defined = np.isfinite(p_E)
    order = np.argsort(p_E[defined])
    weighed = float(tests)
    if method == "by":
        # The harmonic number, by its expansion: tests may be ten thousand million.
        weighed *= np.log(tests) + np.euler_gamma + 1 / (2 * tests)
    ascending = p_E[defined][order] * weighed / np.arange(1, len(order) + 1)
    known = np.empty(len(order))
    known[order] = np.minimum(np.minimum.accumulate(ascending[::-1])[::-1], 1)
    q_E = np.full(len(p_E), np.nan)
    q_E[defined] = known
    return q_E


def _null_skills(
    nodes: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings, causes: range
) -> NDArray[np.floating]:
    """Return the skills (effect, cause, surrogate) of the surrogates of a few causes."""
    made = settings.surrogates
    panel = [surrogates_of(nodes, dimension_N, settings, n, made) for n in causes]
    by_target = dimension_N[causes].repeat(made) if settings.dimension_by == "target" else None
    problem = replace(
        cross_map_problem(nodes, dimension_N, settings),
        targets_MT=np.concatenate(panel),
        dimension_M=by_target,
    )
    engine = open_engine(problem, settings.backend, settings.threads)
    count = len(dimension_N)
    return np.asarray(engine.skills(range(count))[0].reshape(count, len(causes), made))


def surrogates_of(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
    node: int,
    count: int,
) -> NDArray[np.float32]:
    """Return surrogates (surrogate, time) of one node, from a random stream of its own."""
    period = max(1, round((settings.surrogate_period_s or 0) * float(nodes.attrs["rate_hz"])))
    # The margin is no longer: under the null a long shift is no better than a short one, and
    # leaving short ones out would favour the unshifted cause wherever signals are slow.
    rule = SurrogateRule(
        settings.surrogate,
        max(theiler_samples(nodes, settings), 1),
        dimension=int(dimension_N[node]),
        tau=tau_samples(nodes, settings),
        period=period,
    )
    stream = np.random.SeedSequence(settings.seed, spawn_key=(1, node))
    series_T = nodes["value"].to_numpy()[:, node]
    return make_surrogates(series_T, rule, count, np.random.default_rng(stream))
