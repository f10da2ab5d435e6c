"""How well true edges are ranked in systems whose graph is known, beside other methods.

    python tests/benchmarks/bench_causal_systems.py FOLDER

writes a table of every run and a plot. The other methods: plain correlation, pairwise Granger tests
(statsmodels), transfer entropy by Kraskov's estimator (entroscope), and PCMCI with partial
correlations (tigramite). Tectum needs none of these packages; a method whose package is not
installed is left out: uv pip install statsmodels entroscope tigramite.

Only direct edges count as true: what a chain passes on, and the mirror of a strong drive, count as
false for every method. The systems are those of `known_systems`; more arguments are the beginnings
of the names of those to measure.
"""

import itertools
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tasks.causal.dimension import embedding_dimensions
from tasks.causal.graph import select_edges
from tasks.causal.labels import label_edges
from tasks.causal.significance import cross_map_significance
from tasks.causal.skill import cross_map_convergence
from tests.benchmarks.known_systems import Matrix, System, Told, systems
from tests.unit.tasks.causal.series import nodes_of

MOST_LAGS = 3


def by_cross_mapping(system: System) -> dict[str, Matrix]:
    """Return skill, its rise, its p-value, and skill with no direct edge ranked above one."""
    nodes, settings = nodes_of(system.series_TN), system.settings
    names = nodes["node"].values.tolist()
    dimension_N = embedding_dimensions(nodes, settings)["embedding_dimension"].to_numpy()
    skill = cross_map_convergence(nodes, dimension_N, settings)
    skill = skill.merge(cross_map_significance(nodes, dimension_N, skill["skill"], settings))
    edges = label_edges(nodes, select_edges(skill, settings), dimension_N, settings)
    raw = np.nan_to_num(skill["skill"].to_numpy(), nan=-1)
    ranked = raw - 4
    for e in range(edges.sizes["edge"]):
        at = tuple(names.index(str(edges[end].values[e])) for end in ("effect", "cause"))
        ranked[at] += 4 * bool(edges["direct"][e]) + 2 * bool(edges["drives"][e])
    rise = np.nan_to_num(skill["delta_skill"].to_numpy(), nan=-1)
    return {
        "cross mapping, skill": raw,
        "cross mapping, rise": rise,
        "cross mapping, p": -np.nan_to_num(skill["p_value"].to_numpy(), nan=1),
        "cross mapping, graph": ranked,
    }


def by_correlation(system: System) -> dict[str, Matrix]:
    return {"correlation": np.abs(np.corrcoef(system.series_TN.T))}


def by_granger(system: System) -> dict[str, Matrix]:
    """Return the F of pairwise Granger tests, the best of three lags."""
    from statsmodels.tools.sm_exceptions import InfeasibleTestError
    from statsmodels.tsa.stattools import grangercausalitytests

    nodes = system.series_TN.shape[1]
    score = np.zeros((nodes, nodes))
    for effect, cause in itertools.permutations(range(nodes), 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = grangercausalitytests(system.series_TN[:, [effect, cause]], MOST_LAGS)
            except InfeasibleTestError:  # a perfect fit: maps in step
                score[effect, cause] = 1e12
                continue
        # F and not p, which is 0 for many.
        score[effect, cause] = max(tests[0]["ssr_ftest"][0] for tests in found.values())
    return {"Granger": score}


def by_transfer_entropy(system: System) -> dict[str, Matrix]:
    """Return the transfer entropy in bits from one sample of the past, the most over lags."""
    from entroscope.transfer import compute

    nodes = system.series_TN.shape[1]
    score = np.zeros((nodes, nodes))
    for effect, cause in itertools.permutations(range(nodes), 2):
        from_to = system.series_TN[:, cause], system.series_TN[:, effect]
        score[effect, cause] = max(compute(*from_to, lag=n) for n in range(1, MOST_LAGS + 1))
    return {"transfer entropy": score}


def by_pcmci(system: System) -> dict[str, Matrix]:
    """Return the largest |partial correlation| over lags, by PCMCI."""
    from tigramite.data_processing import DataFrame
    from tigramite.independence_tests.parcorr import ParCorr
    from tigramite.pcmci import PCMCI

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = PCMCI(DataFrame(system.series_TN), ParCorr()).run_pcmci(
            tau_min=1, tau_max=MOST_LAGS, pc_alpha=0.2
        )
    return {"PCMCI": np.abs(found["val_matrix"][:, :, 1:]).max(2).T}


METHODS: list[tuple[str | None, Callable[[System], dict[str, Matrix]]]] = [
    (None, by_cross_mapping),
    (None, by_correlation),
    ("statsmodels", by_granger),
    ("entroscope", by_transfer_entropy),
    ("tigramite", by_pcmci),
]


def measure(told: Told, system: System) -> list[dict[str, object]]:
    """Return a row a method: how well direct edges are ranked first."""
    rows: list[dict[str, object]] = []
    off_NN = ~np.eye(len(system.edge_NN), dtype=bool)
    truth = system.edge_NN[off_NN]
    for package, method in METHODS:
        if package is not None and find_spec(package) is None:
            continue
        for name, score_NN in method(system).items():
            # No score (maps in step leave nothing to test) is the lowest score.
            score = np.nan_to_num(score_NN[off_NN], nan=-1e9, posinf=1e12)
            auroc = roc_auc_score(truth, score)
            precision = average_precision_score(truth, score)
            found = {"method": name, "AUROC": auroc, "average precision": precision}
            rows.append({**told, **found, "edges": truth.sum(), "pairs": truth.size})
    return rows


def compare(
    quick: bool = False, kept: Path | None = None, names: tuple[str, ...] = ("",)
) -> pd.DataFrame:
    """Return a row a system and method, written to a file after each system if one is given."""
    rows = []
    for told, make in systems(quick):
        if not told["system"].startswith(names):
            continue
        rows += measure(told, make())
        if kept is not None:
            pd.DataFrame(rows).to_csv(kept, index=False)
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_true_edges_rank_first(benchmark):
    table = benchmark.pedantic(lambda: compare(quick=True), rounds=1)
    mean = table.groupby("method")["AUROC"].mean()
    benchmark.extra_info |= mean.round(3).to_dict()
    assert mean["cross mapping, graph"] > 0.8
    assert mean["cross mapping, graph"] > mean["correlation"]


def draw(table: pd.DataFrame, folder: Path) -> None:
    """Write the plot: a column a system, a point a run."""
    long = table.melt(
        id_vars=["system", "coupling", "noise", "length", "method"],
        value_vars=["AUROC", "average precision"],
    )
    figure = px.strip(
        long, x="method", y="value", color="method", facet_col="system", facet_row="variable",
        hover_data=["coupling", "noise", "length"], template="plotly_white", height=620, width=1700,
    )  # fmt: skip
    figure.for_each_annotation(lambda a: a.update(text=a.text.split("=")[-1]))
    figure.update_xaxes(showticklabels=False, title="")
    figure.update_yaxes(range=[0, 1.03], title="")
    figure.add_hline(0.5, line={"dash": "dot", "width": 1}, row=2)
    figure.update_layout(legend={"orientation": "h", "y": -0.05, "title": ""})
    figure.write_html(folder / "systems.html", include_plotlyjs="cdn")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    draw(compare(False, place / "systems.csv", tuple(sys.argv[2:]) or ("",)), place)
