"""A virtual animal: its drivers, its network, what it did, and how real that looks."""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS

_CHANNEL = {"channel": Variable(("channel",), TEXT)}

DRIVERS = DatasetContract(
    "drivers",
    {
        "target": Variable(("driver",), TEXT),
        "node": Variable(("driver",), TEXT),
        "skill": Variable(("driver",), "f"),
    },
)
"""The direct causes of each animated behaviour, strongest first."""

NETWORK = DatasetContract(
    "network",
    {
        "driver": Variable(("edge",), TEXT),
        "node": Variable(("edge",), TEXT),
        "skill": Variable(("edge",), "f"),
    },
)

BEHAVIOUR = DatasetContract(
    "behaviour",
    {
        "real": Variable(("time", "channel"), "f"),
        "generated": Variable(("sample", "time", "channel"), "f"),
        "test_to_training_sd": Variable(("channel",), "f"),
    },
    {"time": Variable(("time",), "f", units=True), **_CHANNEL},
)
"""The test part: what the animal did and what each run of the twin did instead."""

REALISM = DatasetContract(
    "realism",
    {
        "channel": Variable(("metric",), TEXT),
        "generated_vs_real": Variable(("metric",), "f"),
        "real_vs_real": Variable(("metric",), "f"),
        "linear_vs_real": Variable(("metric",), "f"),
        "verdict": Variable(("metric",), TEXT),
    },
    {"metric": Variable(("metric",), TEXT)},
)
"""Distances of the twin and of a linear model from the animal, and of the animal from itself:
medians, the first and third with their 5 and 95 % quantiles beside them."""

FORECAST = DatasetContract(
    "forecast",
    {
        "channel": Variable(("score",), TEXT),
        "horizon": Variable(("score",), "iu"),
        "model": Variable(("score",), "f"),
        "persistence": Variable(("score",), "f"),
        "autoregression": Variable(("score",), "f"),
        "coverage": Variable(("score",), "f"),
        "verdict": Variable(("score",), TEXT),
    },
)
"""RMS errors in training SDs of forecasts from real states of the test part, `horizon` samples
ahead; `coverage` is the share of real values inside the samples' 5 to 95 % range."""

TWIN = TreeContract(
    "twin",
    (*ROOT_ATTRS, "split", "seed", "choice"),
    groups={
        "drivers": DRIVERS,
        "network": NETWORK,
        "behaviour": BEHAVIOUR,
        "realism": REALISM,
        "forecast": FORECAST,
    },
    optional=frozenset({"forecast"}),
)
