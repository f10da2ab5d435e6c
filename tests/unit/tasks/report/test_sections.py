"""Every section renders for a full, a partial and an empty session, and for odd data."""

import json
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from schemas.entities import ArtifactRef, QCMetric, RunState
from schemas.settings.report import ReportSettings
from tasks.common.lineage import ArtifactStory, Lineage
from tasks.report import stream_facts
from tasks.report.causal import order_nodes, typical_skill, write_causal
from tasks.report.courses import estimate_spectrum
from tasks.report.drivers import write_drivers, write_hubs, write_regions
from tasks.report.elements import Section
from tasks.report.evidence import Ending, Evidence
from tasks.report.graph import (
    draw_delays,
    names_of,
    pick_curves,
    pick_edges,
    tell_edge,
    with_curves,
)
from tasks.report.page import write_sections
from tasks.report.quality import judge_session, write_quality
from tasks.report.stream_facts import describe_stream
from tasks.report.streams import write_streams
from tasks.report.virtual_animal import write_virtual_animal

SETTINGS = ReportSettings()
Trees = dict[str, xr.DataTree]


def text_of(section: Section) -> str:
    return section.html + "".join(chart.figure.to_json() for chart in section.charts)


def test_a_full_session_has_every_section(trees: Trees) -> None:
    sections = write_sections(Evidence(trees=trees), SETTINGS)
    assert [s.slug for s in sections] == [
        "quality", "streams", "alignment", "events", "causal", "virtual-animal",
        "large-neural-model", "lineage",
    ]  # fmt: skip
    assert [s.slug for s in sections if s.empty] == ["lineage"]
    keys = [chart.key for section in sections for chart in section.charts]
    assert len(keys) == len(set(keys)) > 15
    for section in sections:
        assert "<script" not in text_of(section)


@pytest.mark.parametrize("kind", ["aligned", "causal", "twin", "lnm"])
def test_a_partial_session_says_what_is_missing_and_why(trees: Trees, kind: str) -> None:
    stage = {"aligned": "align"}.get(kind, kind)
    rest = {name: tree for name, tree in trees.items() if name != kind}
    endings = (Ending(stage, RunState.EMPTY, reason="the <b>reason</b>."),)
    sections = write_sections(Evidence(trees=rest, endings=endings), SETTINGS)
    (missing,) = (s for s in sections if s.empty and s.slug != "lineage")
    assert "the &lt;b&gt;reason&lt;/b&gt;." in missing.html
    assert not missing.charts


def test_an_empty_session_still_has_a_page() -> None:
    sections = write_sections(Evidence(), SETTINGS)
    assert len(sections) == 8
    assert not any(section.charts for section in sections)
    assert "has not been run" in sections[1].html


def test_raw_streams_are_shown_where_preprocessing_ended_empty(trees: Trees) -> None:
    endings = (Ending("preprocess", RunState.FAILED, reason="disk full."),)
    evidence = Evidence(trees={"streams": trees["streams"]}, endings=endings)
    section = write_streams(evidence, SETTINGS)
    assert "Shown as recorded" in section.html
    assert "disk full." in section.html
    assert any(chart.key == "stream-calcium" for chart in section.charts)


def evidence_with(*metrics: QCMetric, **more: object) -> Evidence:
    """Return evidence of one artifact with these quality figures."""
    page = ArtifactRef(kind="report", id="1" * 32)
    made = ArtifactRef(kind="aligned", id="0" * 32)
    graph: nx.DiGraph[ArtifactRef] = nx.DiGraph()
    graph.add_node(page, story=ArtifactStory(ref=page))
    graph.add_node(made, story=ArtifactStory(ref=made, stage="align", metrics=metrics))
    graph.add_edge(made, page)
    return replace(Evidence(lineage=Lineage(page, graph)), **more)  # type: ignore[arg-type]


def test_quality_takes_the_worst_of_everything() -> None:
    def judged(*verdicts: str, severity: str = "") -> str:
        metrics = [
            QCMetric(name=f"m{i}", value=1.0, verdict=v)  # type: ignore[arg-type]
            for i, v in enumerate(verdicts)
        ]
        finding = {"severity": severity, "what": "w", "where": "/x"}
        evidence = evidence_with(*metrics, recording={"findings": [finding] * bool(severity)})
        tone, word = judge_session(evidence)
        assert word in write_quality(evidence).html
        return tone

    assert judged("pass", "info") == "pass"
    assert judged("pass", "warn") == "warn"
    assert judged("pass", "warn", "fail") == "fail"
    assert judged("pass", severity="warning") == "warn"
    assert judged("pass", severity="error") == "fail"
    assert judged("info") == "info"
    assert judge_session(Evidence(endings=(Ending("lnm", RunState.FAILED),)))[0] == "fail"
    assert judge_session(Evidence(endings=(Ending("lnm", RunState.EMPTY),)))[0] == "info"


def test_findings_say_where_when_and_what_was_done() -> None:
    finding = {
        "severity": "warning", "what": "1 sample has no time.", "where": "acquisition/a, units",
        "sample": 70_000, "time_s": 12.5, "value": "nan", "repair": "It is left out.",
        "remedy": "See the log.",
    }  # fmt: skip
    recording = {"findings": [finding], "verdict": "accepted with repairs"}
    html = write_quality(evidence_with(recording=recording)).html
    for text in ("sample 70,000 at 12.5 s", "found: nan", "Done:", "It is left out.", "See the log",
                 "Ingest accepted the recording with repairs. 1 of the findings"):  # fmt: skip
        assert text in html
    assert html.count("<code") == 2


def test_figures_that_need_a_look_come_first() -> None:
    metrics = [
        QCMetric(name="good_one", value=1.0, verdict="pass"),
        QCMetric(name="bad_one", value=float("nan"), threshold=2.0, verdict="fail"),
    ]
    html = write_quality(evidence_with(*metrics)).html
    assert html.index("bad one") < html.index("good one")


def group(tree: xr.DataTree, name: str) -> xr.Dataset:
    return tree.children[name].to_dataset(inherit=False)


def test_facts_of_streams(trees: Trees) -> None:
    calcium = describe_stream("calcium", group(trees["preprocessed"], "calcium"))
    assert (calcium.columns, calcium.column_name, calcium.samples) == (14, "unit", 900)
    assert calcium.rate_hz == pytest.approx(10)
    assert calcium.gaps == 1
    assert calcium.valid == pytest.approx(870 / 900)
    np.testing.assert_allclose(calcium.spans, [[0, 9.9], [13, 59.9], [68, 97.9]])
    assert calcium.operations == ("low pass (cutoff_hz 4)", "mask outliers")
    trials = describe_stream("trials", group(trees["streams"], "trials"))
    assert (trials.samples, len(trials.spans), trials.stop) == (10, 10, 85)
    spikes = describe_stream("units", group(trees["streams"], "units"))
    assert spikes.spans.shape == (1, 2)


def test_streams_without_samples_are_listed_and_not_drawn(trees: Trees) -> None:
    empty = {
        "/": xr.Dataset(attrs=trees["streams"].attrs),
        "/licks": group(trees["streams"], "licks").isel(event=slice(0)),
        "/trials": group(trees["streams"], "trials").isel(interval=slice(0)),
        "/units": group(trees["streams"], "units").isel(spike=slice(0)),
        "/running": group(trees["streams"], "running").isel(time=slice(1)),
    }
    section = write_streams(Evidence(trees={"streams": xr.DataTree.from_dict(empty)}), SETTINGS)
    assert [chart.key for chart in section.charts] == ["streams-timeline"]
    for name in ("licks", "trials", "units", "running"):
        assert name in section.html


def test_operations_are_told_whatever_they_look_like() -> None:
    def told(text: str) -> tuple[str, ...]:
        return stream_facts.list_operations(xr.Dataset(attrs={"provenance": text}))

    assert told("") == ()
    assert told("not json") == ("not json",)
    assert told('["a", {"operation": "b", "x": {"y": 0.5}}]') == ("a", "b (x y 0.5)")


def test_a_graph_without_edges_or_behaviour(trees: Trees) -> None:
    causal = trees["causal"]
    groups = {f"/{name}": group(causal, name) for name in ("nodes", "skill", "edges")}
    groups["/edges"] = groups["/edges"].isel(edge=slice(0))
    groups["/nodes"]["behaviour"] = xr.zeros_like(groups["/nodes"]["behaviour"])
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=causal.attrs), **groups})
    section = write_causal(Evidence(trees={"causal": tree}), SETTINGS)
    assert "No edge passed" in section.html
    assert "No behaviour channel is a node" in section.html
    assert "causal-truth" not in [chart.key for chart in section.charts]


def test_a_screened_graph_shows_all_pairs_as_a_histogram(trees: Trees) -> None:
    causal = trees["causal"]
    groups = {f"/{name}": group(causal, name) for name in ("nodes", "edges")}
    curves = with_curves(groups["/edges"], group(causal, "skill"))
    bins, counts = np.array([0.1, 0.3, 0.5]), np.array([2, 60, 20])
    attrs = {"stride": 2, "survivors": 1234}
    screening = xr.Dataset({"pairs": ("skill_bin", counts)}, {"skill_bin": bins}, attrs)
    groups |= {"/edges": curves, "/screening": screening}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=causal.attrs), **groups})
    section = write_causal(Evidence(trees={"causal": tree}), SETTINGS)
    keys = [chart.key for chart in section.charts]
    assert "causal-screening" in keys
    assert "causal-skill" not in keys
    assert "1,234 that came near" in section.html
    histogram = next(chart.figure for chart in section.charts if chart.key == "causal-screening")
    pairs, kept = (np.asarray(bar.y) for bar in histogram.data)
    assert pairs.sum() == 82
    assert kept.sum() == curves.sizes["edge"]
    assert typical_skill(screening) == 0.3
    dense = write_causal(Evidence(trees=trees), SETTINGS)
    drawn, expected = (
        next(chart.figure for chart in each.charts if chart.key == "causal-convergence")
        for each in (section, dense)
    )
    np.testing.assert_array_equal(drawn.data[0].y, expected.data[0].y)


def test_edges_onto_behaviour_and_among_neurons_come_first() -> None:
    # b drives a nearly perfectly and the other way round, as two points of one body do.
    nodes = xr.Dataset({"behaviour": ("node", [True, True, False, False])}, {"node": list("abxy")})
    pairs = [("b", "a"), ("a", "b"), ("x", "a"), ("y", "a"), ("x", "y"), ("y", "x")]
    edges = xr.Dataset(
        {
            "cause": ("edge", [cause for cause, _ in pairs]),
            "effect": ("edge", [effect for _, effect in pairs]),
        }
    )
    settings = ReportSettings.model_construct(network_edges=3, drivers=1)
    assert pick_edges(nodes, edges, settings) == [0, 2, 4]
    assert pick_edges(nodes, edges, ReportSettings()) == list(range(6))
    assert pick_curves(nodes, edges, 2) == [2, 4]
    assert pick_curves(nodes, edges.isel(edge=slice(2)), 2) == [0, 1]


def test_the_false_discovery_rate_is_told_where_it_is_known(trees: Trees) -> None:
    edges = group(trees["causal"], "edges")
    assert ", q " not in tell_edge(edges, 0)
    assert tell_edge(edges.assign(q_value=edges["skill"] * 0 + 0.012), 0).endswith(", q 0.012")


def test_what_behaviour_leads_is_no_driver(trees: Trees) -> None:
    nodes, edges = group(trees["causal"], "nodes"), group(trees["causal"], "edges")
    behaviour = names_of(nodes, nodes["behaviour"].values)
    onto = np.isin([str(name) for name in edges["effect"].values], behaviour)
    assert onto.any()
    lag_s = np.where(onto, -0.5, 0.1)
    known = edges.assign(lag_s=("edge", lag_s), drives=("edge", lag_s >= 0))
    told = write_drivers(nodes, known, ReportSettings())
    assert "No driver was found for" in told
    assert f"the behaviour comes first ({onto.sum()})" in told
    assert "leads" not in write_drivers(nodes, edges, ReportSettings())
    first = str(edges["cause"].values[~onto][0])
    assert first in write_hubs(nodes, known)
    assert "No node drives another" in write_hubs(
        nodes, known.assign(drives=("edge", onto & False))
    )


def test_regions_with_most_drives_come_first() -> None:
    dims, names = ("effect_region", "cause_region"), ["cortex", "tectum"]
    regions = xr.Dataset(
        {
            "pairs": (dims, [[12, 16], [16, 0]]),
            "edges": (dims, [[1, 8], [2, 0]]),
            "skill": (dims, [[0.1, 0.4], [0.2, np.nan]]),
        },
        dict.fromkeys(dims, names),
    )
    told = str(write_regions(regions))
    assert told.index("8 of 16") < told.index("2 of 16") < told.index("1 of 12")
    assert "50.0%" in told
    assert "0 of 0" not in told


def test_delays_are_told_where_they_were_measured(trees: Trees) -> None:
    edges = group(trees["causal"], "edges")
    assert draw_delays(edges) == ()
    count = edges.sizes["edge"]
    known = edges.assign(
        lag_s=("edge", np.resize([0.2, 0.0, -0.1], count)),
        label=("edge", np.resize(["direct", "indirect", "synchrony"], count)),
        explained_by=("edge", np.resize(["", "n7", ""], count)),
    )
    (chart,) = draw_delays(known)
    assert [bar.name for bar in chart.figure.data] == ["direct", "indirect", "synchrony"]
    assert sum(sum(bar.y) for bar in chart.figure.data) == count
    assert "longest" not in chart.caption
    (chart,) = draw_delays(known.assign_coords(lag=[-0.2, 0.0, 0.2]))
    assert f"{len(range(0, count, 3))} are at the longest delay tried" in chart.caption
    assert tell_edge(known, 0).endswith(", cause leads by 0.2 s")
    assert tell_edge(known, 1).endswith(", no delay, indirect through n7")
    assert tell_edge(known, 2).endswith(", effect leads by 0.1 s, synchrony")


def test_large_matrices_keep_the_strongest_nodes(trees: Trees) -> None:
    skill, nodes = group(trees["causal"], "skill"), group(trees["causal"], "nodes")
    order = order_nodes(skill, nodes, 5)
    assert len(order) == 5
    filled = np.nan_to_num(skill["skill"].values)
    strongest = np.unravel_index(filled.argmax(), filled.shape)
    assert set(strongest) <= set(order.tolist())
    assert sorted(order_nodes(skill, nodes, 300).tolist()) == list(range(16))


def test_a_twin_of_missing_values_only(trees: Trees) -> None:
    groups = {f"/{name}": group(trees["twin"], name) for name in trees["twin"].children}
    groups["/behaviour"] = groups["/behaviour"].where(False)
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=trees["twin"].attrs), **groups})
    section = write_virtual_animal(Evidence(trees={"twin": tree}), SETTINGS)
    assert "not measured" in section.html


def test_a_test_part_unlike_training_is_pointed_out(trees: Trees) -> None:
    html = write_virtual_animal(Evidence(trees=trees), SETTINGS).html
    assert "(0.2 times as much)" in html
    assert "(1 times as much)" not in html


def test_a_spectrum_peaks_where_it_should() -> None:
    time_T = np.arange(2000) / 20
    values = np.sin(2 * np.pi * 3 * time_T)
    values[900:950] = np.nan
    frequency, power = estimate_spectrum(time_T, values, 256)
    assert frequency[power.argmax()] == pytest.approx(3, abs=0.1)
    assert estimate_spectrum(time_T[:5], values[:5], 2)[0].size == 0


def test_the_truth_is_shown_with_both_areas(trees: Trees) -> None:
    section = write_causal(Evidence(trees=trees), SETTINGS)
    chart = next(chart for chart in section.charts if chart.key == "causal-truth")
    names = [trace["name"] for trace in json.loads(chart.figure.to_json())["data"]]
    assert names == ["chance", "cross mapping, AUROC 0.910", "plain correlation, AUROC 0.620"]
