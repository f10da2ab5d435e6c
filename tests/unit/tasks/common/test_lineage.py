"""Lineage as a graph, a tree, a picture, an RO-Crate and OpenLineage events."""

import base64
import json
import uuid
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from rocrate.rocrate import ROCrate

from schemas.entities import ArtifactRef
from schemas.errors import LakeError, NotFoundError
from tasks.common.draft import Draft
from tasks.common.lineage import trace_lineage
from tasks.common.lineage_export import PROCESS_RUN_CRATE, export_openlineage, export_rocrate
from tasks.common.lineage_picture import draw_lineage


@pytest.fixture
def family(bench) -> dict[str, ArtifactRef]:
    """Return recording -> streams -> aligned -> causal, report of all, and a twin of aligned."""
    key = bench.add_session("fly80")

    def record(draft: Draft) -> None:
        found = {"path": "/home/someone/raw.nwb", "byte_sha256": "ab" * 32, "bytes": 9}
        draft.write_json("recording.json", {**found, "sidecars": []})

    request = bench.request(0, "recording", session_key=key)
    recording = bench.workspace.produce(request, record).artifact.ref
    streams = bench.make(1, "streams", (recording,)).artifact.ref
    aligned = bench.make(2, "aligned", (streams,)).artifact.ref
    causal = bench.make(3, "causal", (aligned,)).artifact.ref
    report = bench.make(4, "report", (streams, aligned, causal)).artifact.ref
    twin = bench.make(5, "twin", (aligned,)).artifact.ref
    found = (recording, streams, aligned, causal, report, twin)
    return {ref.kind: ref for ref in found}


def printed(item: object) -> str:
    """Return what a terminal would show."""
    console = Console(width=120, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        console.print(item)
        return console.export_text()


def test_the_graph_holds_all_ancestors_and_their_stories(bench, family) -> None:
    lineage = trace_lineage(bench.workspace.catalogue, family["report"])
    assert {ref.kind for ref in lineage.graph} == {
        "recording", "streams", "aligned", "causal", "report",
    }  # fmt: skip
    assert lineage.stories()[0].ref.kind == "recording"
    story = lineage.story(family["aligned"])
    assert story.session.startswith("fly80")
    assert story.settings == {"number": 2}
    assert story.facts == {"seed": 2}
    assert story.key_figure == "number 2"
    assert story.seconds is not None
    assert story.environment["packages"]
    json.dumps(lineage.to_plain(), allow_nan=False)
    full = trace_lineage(bench.workspace.catalogue, family["aligned"], progeny=True)
    assert {ref.kind for ref in full.graph} == set(family)
    with pytest.raises(NotFoundError):
        trace_lineage(bench.workspace.catalogue, ArtifactRef(kind="aligned", id="0" * 32))


def test_the_tree_shows_each_step_once(bench, family) -> None:
    text = printed(trace_lineage(bench.workspace.catalogue, family["report"]).to_tree())
    assert [line.strip("│├└─ ").split()[0] for line in text.splitlines()] == [
        "report", "causal", "aligned", "streams", "recording",
    ]  # fmt: skip
    full = trace_lineage(bench.workspace.catalogue, family["aligned"], progeny=True)
    assert "made from it" in printed(full.to_tree())
    assert "twin" in printed(full.to_tree())


def test_a_forgotten_ancestor_stays_in_tree_and_picture(bench, family) -> None:
    bench.workspace.catalogue.forget(family["recording"].id)
    lineage = trace_lineage(bench.workspace.catalogue, family["report"])
    assert not lineage.story(family["recording"]).listed
    assert "no longer in the catalogue" in printed(lineage.to_tree())
    assert "no longer in the catalogue" in draw_lineage(lineage).svg


def test_the_picture_is_svg_with_a_box_for_each_artifact(bench, family) -> None:
    lineage = trace_lineage(bench.workspace.catalogue, family["report"])
    picture = draw_lineage(lineage)
    root = ElementTree.fromstring(picture.svg)
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert len(root.findall("svg:g", space)) == len(lineage.graph) == 5
    assert len(root.findall("svg:path", space)) == lineage.graph.number_of_edges() == 6
    head, _, body = picture.data_uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(body).decode() == picture.svg


def test_boxes_stay_inside_the_picture_and_do_not_overlap(bench, family) -> None:
    full = trace_lineage(bench.workspace.catalogue, family["aligned"], progeny=True)
    root = ElementTree.fromstring(draw_lineage(full).svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    corners = set()
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        x, y = (float(v) for v in group.attrib["transform"][10:-1].split())
        assert 0 <= x <= width - 236
        assert 0 <= y <= height - 84
        assert all(abs(x - u) >= 236 or abs(y - v) >= 84 for u, v in corners)
        corners.add((x, y))


def test_text_of_others_cannot_break_the_picture(bench) -> None:
    def build(draft: Draft) -> None:
        draft.key_figure = '<script>alert("1")</script> & [red]more[/red]'
        draft.metric("m", 1, 2, "fail")

    ref = bench.workspace.produce(bench.request(1), build).artifact.ref
    lineage = trace_lineage(bench.workspace.catalogue, ref)
    ElementTree.fromstring(draw_lineage(lineage).svg)
    assert "[red]more[/red]" in printed(lineage.to_tree())
    assert "fail" in printed(lineage.to_tree())


def test_rocrate_reads_the_crate_back_and_its_entities_link(bench, family, tmp_path) -> None:
    folder = tmp_path / "crate"
    export_rocrate(bench.workspace, family["causal"], folder)
    crate = ROCrate(folder)
    root = crate.root_dataset
    assert root["conformsTo"].id == PROCESS_RUN_CRATE
    name = f"causal-{family['causal'].id[:12]}"
    file = crate.dereference(f"{name}/number.json")
    assert json.loads((folder / file.id).read_text()) == {"number": 3}
    # file -> the action it is a result of -> software, settings, inputs
    (action,) = [a for a in crate.get_by_type("CreateAction") if file in a["result"]]
    assert action in root["mentions"]
    assert len(root["mentions"]) == 4
    software = action["instrument"]
    assert software.type == "SoftwareApplication"
    artifact = bench.workspace.catalogue.get(family["causal"].id)
    assert software["identifier"] == artifact.fingerprint
    packages = json.loads((folder / software["softwareRequirements"].id).read_text())["packages"]
    assert "numpy" in packages
    objects = {entity.type: entity for entity in action["object"]}
    assert (objects["PropertyValue"]["name"], objects["PropertyValue"]["value"]) == (
        "align.number",
        "3",
    )
    parent = objects["CreativeWork"]
    assert parent["identifier"] == family["aligned"].id
    (earlier,) = [a for a in crate.get_by_type("CreateAction") if parent in _many(a["result"])]
    assert datetime.fromisoformat(earlier["endTime"]) <= datetime.fromisoformat(action["endTime"])
    raw = crate.dereference("urn:sha256:" + "ab" * 32)
    assert raw["name"] == "raw.nwb", "without the folder it was in"
    recording = crate.dereference(f"urn:tectum:recording:{family['recording'].id}")
    assert raw in _many(recording["isBasedOn"])
    with pytest.raises(LakeError, match="not empty"):
        export_rocrate(bench.workspace, family["causal"], folder)


def _many(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def test_openlineage_events_are_well_formed_and_chain(bench, family, tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    export_openlineage(bench.workspace, family["causal"], path)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 4
    made: set[str] = set()
    for event in events:
        assert event["producer"].startswith("urn:tectum:")
        assert event["schemaURL"].startswith("https://openlineage.io/spec/")
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        uuid.UUID(event["run"]["runId"])
        assert event["job"] == {"namespace": "tectum", "name": "align"}
        for facet in event["run"]["facets"].values():
            assert {"_producer", "_schemaURL"} <= facet.keys()
        assert {data["name"] for data in event["inputs"]} <= made, "inputs come from earlier runs"
        for data in (*event["inputs"], *event["outputs"]):
            assert data["namespace"] == "tectum"
            assert len(data["facets"]["version"]["datasetVersion"]) == 64
        if event["eventType"] == "COMPLETE":
            made |= {data["name"] for data in event["outputs"]}
    assert f"causal/{family['causal'].id}" in made
