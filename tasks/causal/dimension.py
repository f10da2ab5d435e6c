"""How many delays unfold a node: the dimension in which it predicts itself best."""

from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore, divide, fetch_blocks
from tasks.causal.engine import Engine, PortableEngine
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule

_EQUAL = 2e-6


def embedding_dimensions(
    nodes: xr.Dataset, settings: CausalSettings, store: BlockStore = NO_STORE
) -> xr.Dataset:
    """Find each node's embedding dimension by its own forecast one sample ahead.

    Parameters
    ----------
    nodes : `value` (time, node) standardised, with `segment` (time); attrs `rate_hz`

    Returns
    -------
    Dataset (node) with `embedding_dimension`, from 1 to `settings.max_dimension` (or
    `settings.dimension` for all), and `self_skill`, the correlation of forecast and value there.

    References
    ----------
    Sugihara & May 1990, doi:10.1038/344734a0
    """
    fixed = settings.dimension
    tried = [fixed] if fixed else list(range(1, settings.max_dimension + 1))
    series_NT = np.ascontiguousarray(nodes["value"].to_numpy().T)
    rule = CrossMapRule(tau_samples(nodes, settings), 1, theiler_samples(nodes, settings))
    highest_N = np.full(len(series_NT), tried[-1])
    problem = CrossMapProblem(
        series_NT, series_NT[:0], nodes["segment"].to_numpy(), highest_N, rule,
        precision=settings.precision,
    )  # fmt: skip
    engine = PortableEngine(problem, settings.backend, settings.threads)
    parts = divide(len(series_NT), settings.block)
    forecast = partial(_forecast, engine, tried)
    blocks = fetch_blocks(store, "embedding dimension", parts, forecast, settings.backend)
    skill_NE = np.concatenate([np.asarray(block["skill"], np.float64) for block in blocks])
    best_N = best_dimension(skill_NE)
    return xr.Dataset(
        {
            "embedding_dimension": ("node", np.array(tried)[best_N]),
            "self_skill": ("node", skill_NE[np.arange(len(best_N)), best_N].astype(np.float32)),
        },
        {"node": nodes["node"]},
    )


def _forecast(engine: Engine, dimensions: list[int], nodes: range) -> Block:
    return {"skill": engine.self_skills(nodes, dimensions)}


def best_dimension(skill_NE: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the position of the highest skill of each row; the first of equals, or of none.

    Skills that differ by less than float32 sums can tell are equal: kernels must agree.
    """
    defined_NE = np.where(np.isfinite(skill_NE), skill_NE, -np.inf)
    return (defined_NE >= defined_NE.max(axis=1, keepdims=True) - _EQUAL).argmax(axis=1)


def tau_samples(nodes: xr.Dataset, settings: CausalSettings) -> int:
    """Return the step between embedding coordinates in samples, at least one."""
    return max(1, round(settings.tau_s * float(nodes.attrs["rate_hz"])))


def theiler_samples(nodes: xr.Dataset, settings: CausalSettings) -> int:
    """Return the Theiler window in samples of the nodes' time axis."""
    return round(settings.theiler_s * float(nodes.attrs["rate_hz"]))
