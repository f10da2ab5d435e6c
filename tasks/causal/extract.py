"""The whole of the stage as one pure function: an aligned tree in, a causal tree out."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, BlockStore
from tasks.causal.dimension import embedding_dimensions
from tasks.causal.engine import choose_backend
from tasks.causal.graph import (
    causal_tree,
    correlate_nodes,
    describe_nodes,
    regional_skills,
    score_against_truth,
    select_edges,
    summarize_regions,
)
from tasks.causal.interactions import interaction_strengths
from tasks.causal.labels import label_edges
from tasks.causal.nodes import count_nodes, gather_nodes
from tasks.causal.plan import require_memory
from tasks.causal.screening import screen_pairs
from tasks.causal.significance import cross_map_significance
from tasks.causal.skill import cross_map_convergence
from tasks.causal.survivors import measure_survivors


def extract_graph(
    aligned: xr.DataTree,
    settings: CausalSettings,
    truth: xr.DataTree | None = None,
    store: BlockStore = NO_STORE,
) -> xr.DataTree:
    """Find who drives whom in one session.

    Parameters
    ----------
    aligned : tree of the ALIGNED contract
    settings : samples used, embedding, libraries, rule of an edge
    truth : tree of the TRUTH contract, if the session is simulated
    store : keeps finished blocks, so that a run that was killed goes on where it was

    Returns
    -------
    Tree of the CAUSAL contract

    Raises
    ------
    NothingToDoError
        Fewer than two usable nodes, or too few samples (RecordingTooShortError).
    TectumError
        It would not fit into this machine's memory; says what it needs.

    References
    ----------
    Sugihara et al. 2012, doi:10.1126/science.1227079
    """
    settings = settings.model_copy(update={"backend": choose_backend(settings.backend)})
    require_memory(*count_nodes(aligned, settings), settings)
    nodes = gather_nodes(aligned, settings)
    usable = nodes.isel(node=np.flatnonzero(~nodes["excluded"].to_numpy()))
    dimensions = embedding_dimensions(usable, settings, store)
    dimension_N = dimensions["embedding_dimension"].to_numpy()
    screened = usable.sizes["node"] > settings.screening.above
    measure = _measure_survivors if screened else _measure_all
    found, skill_2RR, measures = measure(usable, dimension_N, settings, store)
    edges = label_edges(usable, select_edges(measures, settings), dimension_N, settings)
    groups = {
        **found,
        "edges": edges,
        "regions": summarize_regions(usable, skill_2RR, edges),
        "interactions": interaction_strengths(usable, edges, dimension_N, settings),
    }
    if truth is not None and not screened:
        groups["truth"] = score_against_truth(measures, truth)
    return causal_tree(describe_nodes(nodes, dimensions), groups, settings, aligned.attrs)


Measured = tuple[dict[str, xr.Dataset | None], NDArray[np.float64], xr.Dataset]
"""Groups to keep, skills by region, and the measures that edges are selected by."""


def _measure_all(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
    store: BlockStore,
) -> Measured:
    """Measure every pair in full."""
    skill = cross_map_convergence(nodes, dimension_N, settings, store)
    skill["correlation"] = correlate_nodes(nodes)
    if settings.surrogates:
        tested = cross_map_significance(nodes, dimension_N, skill["skill"], settings, store)
        skill = skill.merge(tested)
    region_N = nodes["region"].to_numpy().astype(str)
    skill_2RR = regional_skills(region_N, range(len(region_N)), skill["skill"].to_numpy())
    return {"skill": skill}, skill_2RR, skill


def _measure_survivors(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
    store: BlockStore,
) -> Measured:
    """Screen all pairs, and measure those in full that survive."""
    found = screen_pairs(nodes, dimension_N, settings, store)
    measures = measure_survivors(nodes, dimension_N, found, settings, store)
    return {"screening": found.describe(settings)}, found.skill_2RR, measures


def summarize_graph(tree: xr.DataTree) -> str:
    """Return the key figure: edges among pairs, and the typical skill of an edge."""
    nodes = int((~tree["nodes"]["excluded"]).sum())
    skill = tree["edges"]["skill"].to_numpy()
    typical = f", median skill {np.median(skill):.2f}" if skill.size else ""
    return f"{skill.size:,} edges of {nodes * (nodes - 1):,} pairs{typical}"
