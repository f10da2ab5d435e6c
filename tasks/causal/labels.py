"""What kind of tie an edge is: its delay, and whether another node explains it."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.convergence import fisher_rise, fit_rise
from tasks.causal.lags import scan_lags
from tasks.causal.pairs import Pairs, find_pairs
from tasks.causal.partial import PartialSkills, partial_skills


def label_edges(
    nodes: xr.Dataset,
    edges: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
) -> xr.Dataset:
    """Look closer at the edges: rise, delay, and what is left without a third node.

    Parameters
    ----------
    nodes : usable nodes, standardised; edges : of `select_edges`

    Returns
    -------
    The edges with `dimension` of the embedding, `rise_z` and `skill_limit` of convergence,
    `lag_s`, `lag_skill` (edge, lag), `partial_skill`, `explained_by` (empty if nothing does),
    and `label`:

    - 'direct': none of the following
    - 'synchrony': what the effect recovers best is still to come, and the reverse edge leads: the
      mirror of a strong drive
    - 'effect leads': what it recovers best is still to come: whatever ties the two, no drive
    - 'indirect': the cause acts on the explaining node, which acts on the effect
    - 'shared drive': the explaining node acts on both

    `drives` says whether the cause is a driver: direct or indirect, and not after its effect.
    """
    pairs = find_pairs(nodes, edges, dimension_N, settings)
    whose = pairs.cause_E if settings.dimension_by == "target" else pairs.effect_E
    rise_z, skill_limit = _rise(pairs, edges)
    found = edges.assign(
        dimension=("edge", dimension_N[whose].astype(np.int32)),
        rise_z=("edge", rise_z),
        skill_limit=("edge", skill_limit),
    )
    found = found.merge(scan_lags(nodes, pairs, dimension_N, settings))
    curve_EL = np.nan_to_num(found["lag_skill"].to_numpy(), nan=-1.0)
    best_E = curve_EL.max(1, initial=-1.0)
    lag_E = np.round(np.nan_to_num(found["lag_s"].to_numpy()) * nodes.attrs["rate_hz"])
    left = partial_skills(
        nodes, pairs, found["skill"].to_numpy(), lag_E.astype(np.int64), dimension_N, settings
    )
    by_E = explained_by(pairs, left, best_E, settings.min_direct_share)
    label_E = np.array(_labels(pairs, by_E, lag_E), dtype="U12")
    names = nodes["node"].to_numpy().astype(str)
    # An empty list of names has no text type of its own.
    explaining = np.array([names[by] if by >= 0 else "" for by in by_E], dtype=names.dtype)
    return found.assign(
        partial_skill=("edge", left.skill_E),
        explained_by=("edge", explaining),
        label=("edge", label_E),
        direct=("edge", label_E == "direct"),
        drives=("edge", np.isin(label_E, ("direct", "indirect")) & (lag_E >= 0)),
    )


def explained_by(
    pairs: Pairs, left: PartialSkills, skill_E: NDArray[np.floating], share: float
) -> NDArray[np.intp]:
    """Return the node that explains each edge, -1 where none does.

    Of two causes that explain each other the one with the higher skill stays.

    skill_E : (edge,) at the edge's own delay, where the partial skill was measured
    """
    with np.errstate(invalid="ignore"):
        explained = left.skill_E < share * skill_E
    by_E = np.where(explained, left.by_E, -1)
    at = {
        (int(cause), int(effect)): edge
        for edge, (cause, effect) in enumerate(zip(pairs.cause_E, pairs.effect_E, strict=True))
    }
    for edge in np.argsort(-skill_E, kind="stable"):
        cause, effect, by = int(pairs.cause_E[edge]), int(pairs.effect_E[edge]), int(by_E[edge])
        if by >= 0 and by_E[at[by, effect]] == cause:
            by_E[edge] = -1
    return by_E


def _labels(pairs: Pairs, by_E: NDArray[np.intp], lag_E: NDArray[np.floating]) -> list[str]:
    at = {
        (int(cause), int(effect)): edge
        for edge, (cause, effect) in enumerate(zip(pairs.cause_E, pairs.effect_E, strict=True))
    }
    labels = []
    for (cause, effect), edge in at.items():
        reverse = at.get((effect, cause))
        if by_E[edge] >= 0:
            labels.append("indirect" if (cause, int(by_E[edge])) in at else "shared drive")
        elif reverse is not None and lag_E[edge] < 0 < lag_E[reverse]:
            labels.append("synchrony")
        elif lag_E[edge] < 0:
            labels.append("effect leads")
        else:
            labels.append("direct")
    return labels


def _rise(pairs: Pairs, edges: xr.Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how surely each edge's skill rises with the library, and where to."""
    curve_LE, size_L = edges["convergence"].to_numpy().T, edges["library_size"].to_numpy()
    independent = float(size_L[-1]) / (1 + pairs.rule.theiler)
    limit_E, _ = fit_rise(curve_LE, size_L)
    rise_E = fisher_rise(curve_LE[-1], curve_LE[0], independent)
    return rise_E.astype(np.float32), limit_E.astype(np.float32)
