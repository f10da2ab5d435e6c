"""From skills to edges: the rule, the table of nodes, and the tree that is kept."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.contracts.causal import CAUSAL
from schemas.settings.causal import CausalSettings
from tasks.causal.scoring import common_nodes, score_edges

EDGE_VARIABLES = ("skill", "delta_skill", "kendall", "p_value", "q_value")


def correlate_nodes(nodes: xr.Dataset) -> xr.DataArray:
    """Return Pearson's correlation (effect, cause) of every pair over the samples both have.

    The plain alternative to cross mapping: symmetric, blind to direction. NaN on the diagonal.
    """
    values_TN = nodes["value"].to_numpy().astype(np.float64)
    valid = np.isfinite(values_TN).astype(np.float64)
    filled = np.nan_to_num(values_TN)
    count = np.maximum(valid.T @ valid, 1)
    mean = filled.T @ valid / count  # [i, j]: mean of i where j is valid too
    square = (filled**2).T @ valid / count - mean**2
    covariance = filled.T @ filled / count - mean * mean.T
    scale = np.sqrt(np.clip(square * square.T, 1e-12, None))
    correlation = np.clip(covariance / scale, -1, 1).astype(np.float32)
    np.fill_diagonal(correlation, np.nan)
    names = nodes["node"].to_numpy()
    return xr.DataArray(correlation, {"effect": names, "cause": names}, ("effect", "cause"))


def select_edges(skill: xr.Dataset, settings: CausalSettings) -> xr.Dataset:
    """Keep the pairs whose skill is high, converges, and is more than surrogates reach.

    skill : measures of all pairs (effect, cause), or of some (edge) with the names of their ends

    Returns
    -------
    Dataset (edge), highest skill first: `cause`, `effect`, what was measured, and the
    `convergence` curve (edge, library_size)
    """
    kept = passes(skill, settings).to_numpy()
    if "edge" in skill.dims:
        chosen = skill.isel(edge=np.flatnonzero(kept))
    else:
        effect, cause = np.nonzero(kept)
        at = {
            "effect": xr.DataArray(effect, dims="edge"),
            "cause": xr.DataArray(cause, dims="edge"),
        }
        chosen = skill.isel(at).reset_coords(["effect", "cause"])
    order = np.argsort(-chosen["skill"].to_numpy(), kind="stable")
    chosen = chosen.isel(edge=order)
    names = [name for name in EDGE_VARIABLES if name in chosen]
    return xr.Dataset(
        {
            **{end: ("edge", chosen[end].to_numpy().astype(str)) for end in ("cause", "effect")},
            **{name: ("edge", chosen[name].to_numpy().astype(np.float32)) for name in names},
            "convergence": chosen["convergence"].transpose("edge", "library_size"),
        },
        {"library_size": chosen["library_size"]},
    )


def passes(skill: xr.Dataset, settings: CausalSettings) -> xr.DataArray:
    """Return which pairs keep the rule of an edge."""
    kept = (
        (skill["skill"] >= settings.min_skill)
        & (skill["delta_skill"] >= settings.min_delta_skill)
        & (skill["kendall"] >= settings.min_kendall)
    )
    if "q_value" in skill:
        kept &= skill["q_value"] <= settings.max_false_discovery
    return kept


def describe_nodes(nodes: xr.Dataset, dimensions: xr.Dataset) -> xr.Dataset:
    """Return the table of all nodes; excluded ones have dimension 0 and NaN self-skill."""
    kept = ~nodes["excluded"].to_numpy()
    dimension_N = np.zeros(len(kept), np.int32)
    dimension_N[kept] = dimensions["embedding_dimension"]
    self_skill_N = np.full(len(kept), np.nan, np.float32)
    self_skill_N[kept] = dimensions["self_skill"]
    return xr.Dataset(
        {
            "stream": ("node", _text(nodes["stream"])),
            "region": ("node", _text(nodes["region"])),
            **{axis: ("node", nodes["position"].to_numpy()[:, s]) for s, axis in enumerate("xyz")},
            "kind": ("node", _text(nodes["kind"])),
            "behaviour": ("node", nodes["behaviour"].to_numpy()),
            "embedding_dimension": ("node", dimension_N),
            "self_skill": ("node", self_skill_N),
            "excluded": ("node", ~kept),
            "reason": ("node", _text(nodes["reason"])),
        },
        {"node": _text(nodes["node"])},
    )


def regional_skills(
    region_N: NDArray[np.str_], effects: Sequence[int], skill_BM: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return count and sum (2, effect region, cause region) of the defined skills of some effects.

    region_N : where each node lies; regions are sorted by name; skill_BM : (effect, cause)
    """
    names, at_N = np.unique(region_N, return_inverse=True)
    inside_RN = (np.arange(len(names))[:, None] == at_N).astype(np.float32)
    inside_RB, defined_BM = inside_RN[:, list(effects)], np.isfinite(skill_BM)
    found = [inside_RB @ a @ inside_RN.T for a in (defined_BM, np.nan_to_num(skill_BM))]
    return np.stack(found).astype(np.float64)


def summarize_regions(
    nodes: xr.Dataset, skill_2RR: NDArray[np.float64], edges: xr.Dataset
) -> xr.Dataset:
    """Count region by region which pairs there are and which of them are driving edges.

    nodes : usable ones; skill_2RR : of `regional_skills`, of all effects

    Returns
    -------
    Dataset (effect_region, cause_region) with `pairs`, `edges` that drive, and the mean `skill` of
    all pairs, NaN where there is none
    """
    region_of = dict(zip(_text(nodes["node"]), _text(nodes["region"]), strict=True))
    names, count_R = np.unique(_text(nodes["region"]), return_counts=True)
    pairs_RR = np.outer(count_R, count_R) - np.diag(count_R)
    known_RR, total_RR = skill_2RR
    kept = edges.isel(edge=np.flatnonzero(edges["drives"].to_numpy()))
    ends = ([region_of[name] for name in _text(kept[end])] for end in ("effect", "cause"))
    edges_RR = np.zeros(pairs_RR.shape, np.int64)
    np.add.at(edges_RR, tuple(np.searchsorted(names, np.array(e, dtype=str)) for e in ends), 1)
    mean_RR = np.where(known_RR > 0, total_RR / np.maximum(known_RR, 1), np.nan)
    dims = ("effect_region", "cause_region")
    return xr.Dataset(
        {
            "pairs": (dims, pairs_RR),
            "edges": (dims, edges_RR),
            "skill": (dims, mean_RR.astype(np.float32)),
        },
        dict.fromkeys(dims, names),
    )


def score_against_truth(skill: xr.Dataset, truth: xr.DataTree) -> xr.Dataset:
    """Return how well skill and |correlation| find the true edges of a simulation."""
    edge_EC = truth.children["graph"].to_dataset(inherit=False)["edge"]
    by_skill = score_edges(skill["skill"], edge_EC)
    by_correlation = score_edges(abs(skill["correlation"]), edge_EC)
    names = common_nodes(skill["skill"], edge_EC)
    known = edge_EC.sel(effect=names, cause=names)
    rate = "false_positive_rate"
    return xr.Dataset(
        {
            "edge": (("effect", "cause"), known.to_numpy().astype(bool)),
            "roc_ccm": (rate, by_skill.true_positive_rate),
            "roc_correlation": (rate, by_correlation.true_positive_rate),
        },
        {"effect": names, "cause": names, rate: by_skill.false_positive_rate},
        {
            "auroc_ccm": by_skill.auroc,
            "auroc_correlation": by_correlation.auroc,
            "edges": by_skill.edges,
            "pairs": by_skill.pairs,
        },
    )


def causal_tree(
    nodes: xr.Dataset,
    groups: Mapping[str, xr.Dataset | None],
    settings: CausalSettings,
    session_attrs: Mapping[Hashable, object],
) -> xr.DataTree:
    """Put the graph together as the CAUSAL contract wants it.

    nodes : all nodes, of `describe_nodes`; groups : by name, those that are None left out
    """
    root = {**session_attrs, "split": settings.split.model_dump_json(), "use": settings.use}
    there = {f"/{name}": group for name, group in groups.items() if group is not None}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=root), "/nodes": nodes, **there})
    CAUSAL.check(tree)
    return tree


def _text(array: xr.DataArray) -> NDArray[np.str_]:
    return array.to_numpy().astype(str)
