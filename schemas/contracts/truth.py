"""What a simulated session truly is: its causal graph, and the state of every unit.

`graph` holds the recorded nodes only, named as the columns of the aligned matrices; `latent` all
units, the unrecorded ones named "latent/...". `weight` is the fraction of the effect's delayed
input that the cause provides.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS, TIME

GRAPH = DatasetContract(
    "graph",
    {
        "weight": Variable(("effect", "cause"), "f"),
        "edge": Variable(("effect", "cause"), "b"),
        "shared_driver": Variable(("effect", "cause"), "b"),
    },
    {"effect": Variable(("effect",), TEXT), "cause": Variable(("cause",), TEXT)},
)
LATENT = DatasetContract(
    "latent",
    {
        "rate": Variable(("time", "node"), "f", units=True),
        "recorded": Variable(("node",), "b"),
    },
    {**TIME, "node": Variable(("node",), TEXT)},
)

TRUTH = TreeContract("truth", ROOT_ATTRS, groups={"graph": GRAPH, "latent": LATENT})
