"""Short forecasts from real states: what validation chooses by, and what the test part judges."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.twin.generate import Choice, histories_at, run_network
from tasks.twin.library import Bools, Floats, Ints, Library, run_lengths
from tasks.twin.linear import Autoregression, run_autoregression

BLOCKS = 10


@dataclass(frozen=True)
class Forecasts:
    """Ensemble forecasts from several starts, with what came.

    predicted_SMHN : (start, member, horizon, node) in SDs
    actual_SHN : (start, horizon, node)
    last_S : the sample each forecast starts from
    """

    predicted_SMHN: Floats
    actual_SHN: Floats
    last_S: Ints


def forecast_starts(
    good_T: Bools, segment_T: NDArray[np.integer], part_T: Bools, depth: int, ahead: int, most: int
) -> Ints:
    """Pick up to `most` evenly spaced samples with a past and a future of their own.

    The past of `depth` samples and the future of `ahead` samples are good, in one gapless stretch
    and in `part_T`.
    """
    runs_T = run_lengths(good_T & part_T, segment_T)
    ends = np.flatnonzero(runs_T >= depth + ahead)
    if len(ends) > most:
        ends = ends[np.linspace(0, len(ends) - 1, most).round().astype(int)]
    return ends - ahead


def longest_horizon(
    good_T: Bools, segment_T: NDArray[np.integer], part_T: Bools, depth: int, wanted: int
) -> int:
    """Return how far ahead a part's longest gapless stretch lets forecasts be scored."""
    longest = int(run_lengths(good_T & part_T, segment_T).max(initial=0))
    return max(min(wanted, longest - depth), 0)


def forecast(
    scaled_TN: Floats,
    library: Library,
    choice: Choice,
    last_S: Ints,
    ahead: int,
    members: int,
    rng: np.random.Generator,
) -> Forecasts:
    """Run `members` forecasts of `ahead` samples from each start."""
    history_SHN = histories_at(scaled_TN, np.repeat(last_S, members), library.depth)
    path = run_network(library, choice, history_SHN, ahead, rng)
    predicted = path.reshape(len(last_S), members, ahead, -1)
    actual_SHN = scaled_TN[last_S[:, None] + np.arange(1, ahead + 1)]
    return Forecasts(predicted, actual_SHN, last_S)


def ensemble_score(forecasts: Forecasts) -> Floats:
    """Return the continuous ranked probability score of each node, lower is better, in SDs.

    A proper score: it is least when the ensemble scatters as much as the truth, so that neither
    a noiseless run nor an overly noisy one is favoured.

    References
    ----------
    Gneiting & Raftery 2007, doi:10.1198/016214506000001437; the fair estimate of Ferro 2014.
    """
    predicted = forecasts.predicted_SMHN
    members = predicted.shape[1]
    error = np.abs(predicted - forecasts.actual_SHN[:, None]).mean(axis=(0, 1, 2))
    ordered = np.sort(predicted, axis=1)
    rank_M = 2 * np.arange(members) - members + 1
    spread = np.einsum("smhn,m->shn", ordered, rank_M.astype(float)).mean(axis=(0, 1))
    score: Floats = error - spread / max(members * (members - 1), 1)
    return score


def judge_forecasts(
    scaled_TN: Floats,
    horizons: tuple[int, ...],
    forecasts: Forecasts,
    baselines: dict[str, Autoregression],
) -> xr.Dataset:
    """Score test forecasts of each behaviour against persistence and an autoregression.

    Parameters
    ----------
    baselines : by channel, in the order of the first nodes

    Returns
    -------
    Dataset over `score`: channel, horizon (samples), RMS errors in SDs, coverage, verdict against
    the better of the two baselines.
    """
    ahead = forecasts.actual_SHN.shape[1]
    mean_SHN = forecasts.predicted_SMHN.mean(axis=1)
    low, high = np.quantile(forecasts.predicted_SMHN, [0.05, 0.95], axis=1)
    inside = (forecasts.actual_SHN >= low) & (forecasts.actual_SHN <= high)
    rows = []
    for node, (name, linear) in enumerate(baselines.items()):
        history_SH = histories_at(scaled_TN[:, [node]], forecasts.last_S, linear.order)[..., 0]
        linear_SH = run_autoregression(linear, history_SH, ahead)
        actual_SH = forecasts.actual_SHN[..., node]
        square = {
            "model": (mean_SHN[..., node] - actual_SH) ** 2,
            "persistence": (history_SH[:, -1:] - actual_SH) ** 2,
            "autoregression": (linear_SH - actual_SH) ** 2,
        }
        for horizon in sorted({h for h in horizons if h <= ahead}):
            at = {key: value[:, horizon - 1] for key, value in square.items()}
            rows.append(
                {
                    "channel": name,
                    "horizon": horizon,
                    **{key: float(np.sqrt(value.mean())) for key, value in at.items()},
                    "coverage": float(inside[:, horizon - 1, node].mean()),
                    "verdict": _verdict(at),
                }
            )
    names = list(rows[0])
    return xr.Dataset({name: ("score", np.array([row[name] for row in rows])) for name in names})


def _verdict(squares: dict[str, Floats]) -> str:
    """Compare with the better baseline."""
    best = min(("persistence", "autoregression"), key=lambda name: squares[name].mean())
    return compare_errors(squares["model"], squares[best])


def compare_errors(model_S: Floats, baseline_S: Floats) -> str:
    """Say whether squared errors are smaller than a baseline's: win, tie or loss.

    A win or a loss needs a mean difference beyond two standard errors over contiguous blocks of
    starts, since neighbouring forecasts share most of their error.
    """
    blocks = np.array_split(baseline_S - model_S, min(BLOCKS, len(model_S)))
    gain_B = np.array([block.mean() for block in blocks])
    if len(gain_B) < 3:
        return "tie"
    margin = 2 * gain_B.std(ddof=1) / np.sqrt(len(gain_B))
    if abs(gain_B.mean()) <= margin:
        return "tie"
    return "win" if gain_B.mean() > 0 else "loss"
