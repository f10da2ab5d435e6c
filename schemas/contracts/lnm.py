"""What the lnm stage hands on: curves, the verdict table, and predictions to look at.

The model itself lies beside the tree: model.safetensors and model.json.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS, TIME

_CHANNEL = {"channel": Variable(("channel",), TEXT)}
_COLUMN = {"column": Variable(("column",), TEXT)}

TRAINING = DatasetContract(
    "training",
    {
        "train_loss": Variable(("step",), "f"),
        "validation_loss": Variable(("step",), "f"),
        "learning_rate": Variable(("step",), "f"),
    },
    {"step": Variable(("step",), "iu")},
    ("best_step", "stopped", "parameters"),
)
"""Losses in units of what the linear prediction costs; validation with the best gates."""

SCORES = DatasetContract(
    "scores",
    {
        "task": Variable(("score",), TEXT),
        "target": Variable(("score",), TEXT),
        "metric": Variable(("score",), TEXT),
        "horizon": Variable(("score",), "iu"),
        "model": Variable(("score",), "f"),
        "ridge": Variable(("score",), "f"),
        "persistence": Variable(("score",), "f"),
        "mean": Variable(("score",), "f"),
        "low": Variable(("score",), "f"),
        "high": Variable(("score",), "f"),
        "verdict": Variable(("score",), TEXT),
    },
    {},
    ("verdict_means", "win", "tie", "loss"),
)
"""Higher is better in every metric. horizon is in samples, -1 where there is none; persistence is
NaN where no last value was to be seen; low and high hold the model's score less the best
baseline's with 95 % confidence."""

_DECODED = ("time", "channel")
DECODED = DatasetContract(
    "decoded",
    {
        "real": Variable(_DECODED),
        "model": Variable(_DECODED),
        "ridge": Variable(_DECODED),
        "model_sd": Variable(_DECODED),
    },
    {**TIME, **_CHANNEL},
)
_FORECAST = ("time", "horizon", "column")
FORECAST = DatasetContract(
    "forecast",
    {
        "real": Variable(_FORECAST),
        "model": Variable(_FORECAST),
        "ridge": Variable(_FORECAST),
        "model_sd": Variable(_FORECAST),
    },
    {**TIME, **_COLUMN, "horizon": Variable(("horizon",), "iu")},
    ("time_is",),
)
GENERATED = DatasetContract(
    "generated", {"value": Variable(("sample", "time", "column"))}, {**TIME, **_COLUMN}
)

LNM = TreeContract(
    "lnm",
    (*ROOT_ATTRS, "split"),
    groups={
        "training": TRAINING,
        "scores": SCORES,
        "decoded": DECODED,
        "forecast": FORECAST,
        "generated": GENERATED,
    },
    optional=frozenset({"decoded", "generated"}),
)
