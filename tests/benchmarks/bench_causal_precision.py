"""What half precision costs: skills from series rounded to float16 against those from float32.

    python tests/benchmarks/bench_causal_precision.py

prints the change of the skill of all pairs, by system and embedding dimension.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tasks.causal.engine import open_engine
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tests.benchmarks.known_systems import calcium, logistic, lorenz_by_roessler
from tests.unit.tasks.causal.problems import noisy_walks
from tests.unit.tasks.causal.series import autoregressive, nodes_of

DIMENSIONS = (1, 2, 3, 5, 10)


def recordings(length: int) -> Iterator[tuple[str, NDArray[np.float32], int]]:
    """Yield standardised series (node, time), with the samples that they remember."""
    rng = np.random.default_rng(0)
    made = {
        "logistic maps": (logistic("chain", 0.1, 0.0, length, rng).series_TN, 0),
        "autoregressive, 0.5": (autoregressive(0.5, 24, length, rng), 2),
        "autoregressive, 0.98": (autoregressive(0.98, 24, length, rng), 50),
        "Lorenz by Roessler": (lorenz_by_roessler(2.0, 0.0, length, rng).series_TN, 10),
        "simulated calcium": (calcium(0.2, length, 0).series_TN, 10),
        "walks": (noisy_walks(24, length).T, 10),
    }
    for name, (series_TN, theiler) in made.items():
        yield name, nodes_of(series_TN)["value"].to_numpy().T, theiler


def compare(length: int = 2000) -> pd.DataFrame:
    """Return a row a system and dimension: how much skills change."""
    rows = []
    for name, series_NT, theiler in recordings(length):
        for dimension in DIMENSIONS:
            single = CrossMapProblem(
                series_NT, series_NT, np.zeros(series_NT.shape[1], int),
                np.full(len(series_NT), dimension), CrossMapRule(theiler=theiler),
            )  # fmt: skip
            change_NM = np.abs(skills(replace(single, precision="float16")) - skills(single))
            change_P = change_NM[~np.eye(len(change_NM), dtype=bool)]
            rows.append(
                {"system": name, "E": dimension, "mean": change_P.mean(), "most": change_P.max()}
            )
    return pd.DataFrame(rows)


def skills(problem: CrossMapProblem) -> NDArray[np.floating]:
    return open_engine(problem).skills(range(len(problem.libraries_NT)))[0]


@pytest.mark.slow
def test_half_precision_costs_little(benchmark):
    table = benchmark.pedantic(lambda: compare(500), rounds=1)
    benchmark.extra_info |= table.groupby("E")["most"].max().to_dict()
    assert table["mean"].max() < 0.01


if __name__ == "__main__":
    print(compare().round(5).to_string(index=False))  # noqa: T201
