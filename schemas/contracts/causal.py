"""The causal graph: nodes, what was measured between them, and the edges kept.

A node lies in `region` (the name of its stream where no region is known) at `x`, `y`, `z`, in the
unit of its stream and NaN where not known. `skill[effect, cause]` is how well the effect's history
recovers the cause; high means that the cause drives the effect. Effect and cause list the nodes
that were not excluded; the diagonal is NaN. An edge's `lag_s` is positive where the cause is
recovered best as it was before; `label` says whether another node explains it, or whether the
effect leads, and `drives` whether the cause is a driver (tasks/causal/labels.py). `/regions` counts
pairs and driving edges, and holds the mean skill of all pairs, region by region; a stream without
regions is one. `/interactions` holds how strongly some causes act over time; it is there if an edge
is direct. `/truth` is there only for a simulated session: how well skill and plain correlation find
its edges.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS

_PAIR = ("effect", "cause")
_NAMES = {"effect": Variable(("effect",), TEXT), "cause": Variable(("cause",), TEXT)}

NODES = DatasetContract(
    "nodes",
    {
        "stream": Variable(("node",), TEXT),
        "region": Variable(("node",), TEXT, optional=True),
        **{axis: Variable(("node",), "f", optional=True) for axis in "xyz"},
        "kind": Variable(("node",), TEXT),
        "behaviour": Variable(("node",), "b"),
        "embedding_dimension": Variable(("node",), "iu"),
        "self_skill": Variable(("node",), "f"),
        "excluded": Variable(("node",), "b"),
        "reason": Variable(("node",), TEXT),
    },
    {"node": Variable(("node",), TEXT)},
)
SKILL = DatasetContract(
    "skill",
    {
        "skill": Variable(_PAIR, "f"),
        "convergence": Variable(("library_size", *_PAIR), "f"),
        "delta_skill": Variable(_PAIR, "f"),
        "kendall": Variable(_PAIR, "f"),
        "correlation": Variable(_PAIR, "f"),
        "p_value": Variable(_PAIR, "f", optional=True),
        "q_value": Variable(_PAIR, "f", optional=True),
    },
    {**_NAMES, "library_size": Variable(("library_size",), "iu")},
)
EDGES = DatasetContract(
    "edges",
    {
        "cause": Variable(("edge",), TEXT),
        "effect": Variable(("edge",), TEXT),
        "skill": Variable(("edge",), "f"),
        "delta_skill": Variable(("edge",), "f"),
        "kendall": Variable(("edge",), "f"),
        "p_value": Variable(("edge",), "f", optional=True),
        "q_value": Variable(("edge",), "f", optional=True),
        "dimension": Variable(("edge",), "iu", optional=True),
        "rise_z": Variable(("edge",), "f", optional=True),
        "skill_limit": Variable(("edge",), "f", optional=True),
        "lag_s": Variable(("edge",), "f", optional=True),
        "lag_skill": Variable(("edge", "lag"), "f", optional=True),
        "partial_skill": Variable(("edge",), "f", optional=True),
        "explained_by": Variable(("edge",), TEXT, optional=True),
        "label": Variable(("edge",), TEXT, optional=True),
        "direct": Variable(("edge",), "b", optional=True),
        "drives": Variable(("edge",), "b", optional=True),
        "convergence": Variable(("edge", "library_size"), "f", optional=True),
    },
    {
        "lag": Variable(("lag",), "f", optional=True),
        "library_size": Variable(("library_size",), "iu", optional=True),
    },
)
INTERACTIONS = DatasetContract(
    "interactions",
    {
        "strength": Variable(("interaction", "moment"), "f"),
        "map_skill": Variable(("mapped", "theta"), "f"),
        "cause": Variable(("interaction",), TEXT),
        "effect": Variable(("interaction",), TEXT),
    },
    {
        "moment": Variable(("moment",), "f"),
        "theta": Variable(("theta",), "f"),
        "mapped": Variable(("mapped",), TEXT),
    },
)
REGIONS = DatasetContract(
    "regions",
    {
        "pairs": Variable(("effect_region", "cause_region"), "iu"),
        "edges": Variable(("effect_region", "cause_region"), "iu"),
        "skill": Variable(("effect_region", "cause_region"), "f"),
    },
    {
        "effect_region": Variable(("effect_region",), TEXT),
        "cause_region": Variable(("cause_region",), TEXT),
    },
)
SCREENING = DatasetContract(
    "screening",
    {"pairs": Variable(("skill_bin",), "iu")},
    {"skill_bin": Variable(("skill_bin",), "f")},
    ("survivors", "stride", "samples", "margin", "score", "causes", "surrogates"),
)
TRUTH_SCORE = DatasetContract(
    "truth",
    {
        "edge": Variable(_PAIR, "b"),
        "roc_ccm": Variable(("false_positive_rate",), "f"),
        "roc_correlation": Variable(("false_positive_rate",), "f"),
    },
    {**_NAMES, "false_positive_rate": Variable(("false_positive_rate",), "f")},
    ("auroc_ccm", "auroc_correlation"),
)
CAUSAL = TreeContract(
    "causal",
    (*ROOT_ATTRS, "split"),
    groups={
        "nodes": NODES,
        "skill": SKILL,
        "edges": EDGES,
        "truth": TRUTH_SCORE,
        "interactions": INTERACTIONS,
        "regions": REGIONS,
        "screening": SCREENING,
    },
    optional=frozenset({"skill", "screening", "truth", "interactions", "regions"}),
)
