"""The whole of the stage as one pure function: an aligned tree in, a causal tree out."""

import numpy as np
import xarray as xr

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, BlockStore
from tasks.causal.dimension import embedding_dimensions
from tasks.causal.engine import choose_backend
from tasks.causal.graph import causal_tree, correlate_nodes, select_edges
from tasks.causal.interactions import interaction_strengths
from tasks.causal.labels import label_edges
from tasks.causal.nodes import gather_nodes
from tasks.causal.plan import require_memory
from tasks.causal.significance import cross_map_significance
from tasks.causal.skill import cross_map_convergence


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
    nodes = gather_nodes(aligned, settings)
    usable = nodes.isel(node=np.flatnonzero(~nodes["excluded"].to_numpy()))
    require_memory(usable.sizes["node"], usable.sizes["time"], settings)
    dimensions = embedding_dimensions(usable, settings)
    dimension_N = dimensions["embedding_dimension"].to_numpy()
    skill = cross_map_convergence(usable, dimension_N, settings, store)
    skill["correlation"] = correlate_nodes(usable)
    if settings.surrogates:
        tested = cross_map_significance(usable, dimension_N, skill["skill"], settings, store)
        skill = skill.merge(tested)
    edges = label_edges(usable, select_edges(skill, settings), skill, dimension_N, settings)
    interactions = interaction_strengths(usable, edges, dimension_N, settings)
    return causal_tree(
        nodes, dimensions, skill, edges, settings, aligned.attrs, truth, interactions
    )


def summarize_graph(tree: xr.DataTree) -> str:
    """Return the key figure: edges among pairs, and the typical skill of an edge."""
    nodes = tree["skill"].sizes["effect"]
    skill = tree["edges"]["skill"].to_numpy()
    typical = f", median skill {np.median(skill):.2f}" if skill.size else ""
    return f"{skill.size:,} edges of {nodes * (nodes - 1):,} pairs{typical}"
