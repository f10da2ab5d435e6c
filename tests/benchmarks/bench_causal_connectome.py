"""The zebrafish's graph beside its anatomy: rank correlation with the structural connectome.

    python tests/benchmarks/bench_causal_connectome.py RECORDINGS [FOLDER]

RECORDINGS holds nwb_converted/zebrafish_legare_regions.nwb and tables/; a lake in FOLDER keeps the
session (a throw-away one without). Seventy regions in the same order in both; three are constant.
The permutation p shuffles the regions of the anatomy, so that which regions have many partners
stays as it is in both.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from schemas.settings.pipeline import PipelineSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.align.task import align_session
from tasks.causal.task import extract_causal_graph
from tasks.common.workspace import Workspace
from tasks.ingest.task import ingest_recording
from tasks.preprocess.task import preprocess_session

Matrix = NDArray[np.float64]
PERMUTATIONS = 9_999


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation with the anatomy, and the share of shuffled ones that reach it."""

    rho: float
    p_value: float


def compare(score_NN: Matrix, anatomy_NN: Matrix, rng: np.random.Generator) -> Agreement:
    """Compare two matrices over regions off the diagonal; one-sided p by shuffling regions."""
    off_NN = ~np.eye(len(score_NN), dtype=bool)
    rank_P = standard(rankdata(score_NN[off_NN]))
    # Shuffled ranks are ranks: rank once, then move them.
    ranked_NN = np.zeros(anatomy_NN.shape)
    ranked_NN[off_NN] = standard(rankdata(anatomy_NN[off_NN]))
    rho = float(rank_P @ ranked_NN[off_NN])
    higher = 0
    for _ in range(PERMUTATIONS):
        order = rng.permutation(len(score_NN))
        higher += rank_P @ ranked_NN[np.ix_(order, order)][off_NN] >= rho
    return Agreement(rho, (1 + higher) / (1 + PERMUTATIONS))


def standard(values: Matrix) -> Matrix:
    centred = values - values.mean()
    return np.asarray(centred / np.sqrt((centred**2).sum()))


def scores_of(causal: xr.DataTree) -> dict[str, Matrix]:
    """Return what there is to compare, all (effect, cause)."""
    skill = causal["skill"].to_dataset()
    names = [str(name) for name in skill["effect"].values]
    raw_NN = np.nan_to_num(skill["skill"].to_numpy().astype(float))
    graph_NN, direct_NN = np.zeros(raw_NN.shape), np.zeros(raw_NN.shape)
    edges = causal["edges"].to_dataset()
    for e in range(edges.sizes["edge"]):
        at = tuple(names.index(str(edges[end].values[e])) for end in ("effect", "cause"))
        graph_NN[at] = edges["skill"].values[e] * bool(edges["drives"].values[e])
        direct_NN[at] = graph_NN[at] * bool(edges["direct"].values[e])
    correlation_NN = np.nan_to_num(skill["correlation"].to_numpy().astype(float))
    return {
        "cross-map skill": raw_NN,
        "cross-map skill, both directions": raw_NN + raw_NN.T,
        "driving edges": graph_NN,
        "direct edges": direct_NN,
        "correlation": correlation_NN,
        "|correlation|": np.abs(correlation_NN),
        "skill beyond |correlation|": beyond(raw_NN + raw_NN.T, np.abs(correlation_NN)),
        "|correlation| beyond skill": beyond(np.abs(correlation_NN), raw_NN + raw_NN.T),
    }


def beyond(score_NN: Matrix, given_NN: Matrix) -> Matrix:
    """Return what is left of a score's ranks once another's are regressed out."""
    off_NN = ~np.eye(len(score_NN), dtype=bool)
    rank_P, given_P = (standard(rankdata(matrix[off_NN])) for matrix in (score_NN, given_NN))
    left_NN = np.zeros(score_NN.shape)
    left_NN[off_NN] = rank_P - (rank_P @ given_P) * given_P
    return left_NN


def graph_of(recording: Path, lake: Path) -> xr.DataTree:
    """Return the causal graph of a recording, with the settings that users get."""
    workspace, settings = WorkspaceSettings(lake=str(lake)), PipelineSettings()
    streams = ingest_recording(workspace, str(recording), settings.ingest).ref
    clean = preprocess_session(workspace, streams, settings.preprocess).ref
    aligned = align_session(workspace, clean, settings.align).ref
    made = extract_causal_graph(workspace, aligned, settings.causal)
    return Workspace(workspace).lake.open_tree(made.ref).load()


def measure(recordings: Path, lake: Path) -> dict[str, dict[str, float]]:
    """Return the agreement of each score with the anatomy, for both readings of its direction."""
    recording = recordings / "nwb_converted" / "zebrafish_legare_regions.nwb"
    causal = graph_of(recording, lake)
    anatomy = np.load(
        recordings / "tables" / "legare_fish6_structural_connectome.npy", allow_pickle=False
    )
    with h5py.File(recording) as file:
        table = file["processing/ophys/ImageSegmentation/PlaneSegmentation/label"]
        labels = [label.decode() for label in table[:]]
    kept = [labels.index(str(n).split("/")[1]) for n in causal["skill"]["effect"].values]
    anatomy_NN = anatomy[np.ix_(kept, kept)]
    found: dict[str, dict[str, float]] = {}
    for name, score_NN in scores_of(causal).items():
        for reading, known_NN in (
            ("row to column", anatomy_NN.T),
            ("column to row", anatomy_NN),
            ("either way", anatomy_NN + anatomy_NN.T),
        ):
            agreement = compare(score_NN, known_NN, np.random.default_rng(0))
            found[f"{name} | anatomy {reading}"] = {
                "rho": round(agreement.rho, 3), "p": agreement.p_value
            }  # fmt: skip
    return found


@pytest.mark.slow
@pytest.mark.shared
def test_the_graph_follows_the_anatomy(benchmark, recordings, tmp_path):
    found = benchmark.pedantic(lambda: measure(recordings, tmp_path / "lake"), rounds=1)
    benchmark.extra_info |= found
    assert found["cross-map skill | anatomy either way"]["p"] < 0.05


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else folder))
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
