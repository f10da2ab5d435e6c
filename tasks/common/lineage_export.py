"""Lineage for others: a Process Run Crate (RO-Crate) of an artifact, and OpenLineage events."""

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from schemas.entities import ArtifactRef
from schemas.errors import LakeError, NotFoundError
from tasks.common.digest import hash_file
from tasks.common.lake import TREE_NAME, Lake
from tasks.common.lineage import ArtifactStory, Lineage, trace_lineage
from tasks.common.storage import storage_errors
from tasks.common.workspace import Workspace

PROCESS_RUN_CRATE = "https://w3id.org/ro/wfrun/process/0.5"
WORKFLOW_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = "https://openlineage.io/spec/facets"
NAMESPACE = "tectum"


def export_rocrate(workspace: Workspace, ref: ArtifactRef, folder: Path) -> None:
    """Write an artifact with its lineage as an RO-Crate (profile Process Run Crate 0.5).

    The crate holds a copy of the artifact. What it was made from is described (hashes, settings,
    runs, packages) but not copied.

    Parameters
    ----------
    workspace : lake and catalogue
    ref : the artifact
    folder : new or empty folder

    Raises
    ------
    NotFoundError
        The catalogue does not list the artifact.
    LakeError
        `folder` holds something already, or cannot be written.
    """
    lineage = trace_lineage(workspace.catalogue, ref)
    if folder.exists() and any(folder.iterdir()):
        raise LakeError("the folder is not empty.", where=str(folder), remedy="Name a new folder.")
    with storage_errors(folder):
        _build_crate(lineage, workspace.lake).write(folder)


def export_openlineage(workspace: Workspace, ref: ArtifactRef, path: Path) -> None:
    """Write the runs that led to an artifact as OpenLineage events, one JSON object a line."""
    lineage = trace_lineage(workspace.catalogue, ref)
    lines = [json.dumps(event, sort_keys=True) for event in describe_runs(lineage)]
    with storage_errors(path.parent):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- RO-Crate -----------------------------------------------------------------------------------


def _build_crate(lineage: Lineage, lake: Lake) -> ROCrate:
    crate = ROCrate()
    target = lineage.story(lineage.target)
    crate.name = f"{target.ref.kind} of session {target.session or 'unknown'}"
    crate.description = (
        f"Artifact {target.ref.id} with the {len(lineage.graph)} steps that led to it. "
        f"{target.key_figure}"
    )
    profile = _add(crate, PROCESS_RUN_CRATE, "CreativeWork", name="Process Run Crate")
    profile["version"] = "0.5"
    crate.root_dataset["conformsTo"] = profile
    crate.metadata.extra_contexts.append(WORKFLOW_RUN_TERMS)
    entities = {target.ref: _add_data(crate, target, lake)}
    for story in lineage.stories():
        if story.ref not in entities:
            entities[story.ref] = _add_artifact(crate, story)
        if story.ref.kind == "recording":
            _add_raw_files(crate, entities[story.ref], story.ref, lake)
    actions = [_add_action(crate, s, lineage, entities) for s in lineage.stories() if s.listed]
    crate.root_dataset["mentions"] = actions
    return crate


def _add(crate: ROCrate, id_: str, kind: str, **properties: Any) -> ContextEntity:
    """Add an entity that is described only; one that is there already is returned."""
    if (found := crate.dereference(id_)) is not None:
        return found
    return crate.add(ContextEntity(crate, id_, properties={"@type": kind, **properties}))


def _describe(story: ArtifactStory) -> dict[str, Any]:
    return {
        "name": f"{story.ref.kind} {story.ref.id[:12]}",
        "description": story.key_figure or story.ref.kind,
        "identifier": story.ref.id,
        "sha256": story.digest,
        "contentSize": str(story.bytes),
        "dateCreated": story.created.isoformat() if story.created else None,
    }


def _add_data(crate: ROCrate, story: ArtifactStory, lake: Lake) -> Any:
    """Copy an artifact into the crate: its folder, and its single files as parts of it."""
    folder = lake.local_folder(story.ref)
    if not folder.is_dir():
        raise NotFoundError(
            f"no data of artifact {story.ref}.", where=lake.where, remedy="Run 'tectum doctor'."
        )
    name = f"{story.ref.kind}-{story.ref.id[:12]}"
    dataset = crate.add_dataset(folder, name, properties=_describe(story))
    parts = [
        crate.add_file(path, f"{name}/{path.name}", properties=_describe_file(path))
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    if (folder / TREE_NAME).is_dir():
        zarr = {"name": TREE_NAME, "encodingFormat": "application/vnd.zarr; version=3"}
        parts.append(crate.add_dataset(folder / TREE_NAME, f"{name}/{TREE_NAME}", properties=zarr))
    dataset["hasPart"] = parts
    _add_metrics(crate, dataset, story)
    return dataset


def _describe_file(path: Path) -> dict[str, Any]:
    formats = {".json": "application/json", ".html": "text/html", ".mp4": "video/mp4"}
    return {
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "sha256": hash_file(path),
        "encodingFormat": formats.get(path.suffix, "application/octet-stream"),
    }


def _add_artifact(crate: ROCrate, story: ArtifactStory) -> Any:
    """Describe an artifact whose data stay in the lake."""
    known = {key: value for key, value in _describe(story).items() if value is not None}
    # Not a Dataset: rocrate takes those for data inside the crate.
    entity = _add(crate, f"urn:tectum:{story.ref.kind}:{story.ref.id}", "CreativeWork", **known)
    _add_metrics(crate, entity, story)
    return entity


def _add_raw_files(crate: ROCrate, recording: Any, ref: ArtifactRef, lake: Lake) -> None:
    """Say which raw bytes a recording stands for: by hash, and by name without its folder."""
    try:
        found = lake.read_json(ref, "recording.json")
    except NotFoundError:
        return
    files = [(found.get("path"), found.get("byte_sha256"), found.get("bytes"))]
    files += [(s.get("path"), s.get("sha256"), s.get("bytes")) for s in found.get("sidecars", [])]
    recording["isBasedOn"] = [
        _add(
            crate,
            f"urn:sha256:{sha256}",
            "CreativeWork",
            name=Path(str(path)).name,
            sha256=sha256,
            contentSize=str(size),
        )
        for path, sha256, size in files
        if sha256
    ]


def _add_metrics(crate: ROCrate, entity: Any, story: ArtifactStory) -> None:
    entity["variableMeasured"] = [
        _add(
            crate,
            f"#quality-{story.ref.id[:12]}-{number}-{metric.name}",
            "PropertyValue",
            name=metric.name,
            value=_text(metric.value),
            description=f"verdict: {metric.verdict} {metric.note}".strip(),
        )
        for number, metric in enumerate(story.metrics)
    ]


def _add_action(
    crate: ROCrate, story: ArtifactStory, lineage: Lineage, entities: dict[ArtifactRef, Any]
) -> Any:
    """Describe the run that made an artifact: software, settings, inputs, times, packages."""
    parents = [
        entities[parent] for parent in sorted(lineage.graph.predecessors(story.ref), key=str)
    ]
    settings = [
        _add(
            crate,
            f"#setting-{story.stage}-{story.param_hash[:12]}-{name}",
            "PropertyValue",
            name=f"{story.stage}.{name}",
            value=value,
        )
        for name, value in _flatten(story.settings)
    ]
    return _add(
        crate,
        f"#run-{story.run_id}",
        "CreateAction",
        name=f"{story.stage} made {story.ref}",
        instrument=_add_software(crate, story),
        object=[*parents, *settings],
        result=[entities[story.ref], *(entities[story.ref].get("hasPart") or [])],
        startTime=story.started.isoformat() if story.started else "",
        endTime=story.ended.isoformat() if story.ended else "",
        actionStatus="http://schema.org/CompletedActionStatus",
        description=json.dumps({"facts": story.facts, "flow_run": story.flow_run}),
    )


def _add_software(crate: ROCrate, story: ArtifactStory) -> Any:
    """Describe the code of a stage, by fingerprint, and the packages it ran with."""
    name = f"environment-{story.environment_hash[:12]}.json"
    environment = crate.dereference(name)
    if environment is None:
        text = json.dumps(story.environment, indent=2, sort_keys=True)
        about = {"name": "machine and packages", "encodingFormat": "application/json"}
        environment = crate.add_file(io.StringIO(text), name, properties=about)
    return _add(
        crate,
        f"#tectum-{story.stage}-{story.fingerprint[:12]}-{story.environment_hash[:12]}",
        "SoftwareApplication",
        name=f"tectum {story.stage}",
        softwareVersion=str(story.environment.get("tectum", "")),
        identifier=story.fingerprint,
        softwareRequirements=environment,
    )


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and values as text."""
    for name, value in sorted(values.items()):
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- OpenLineage --------------------------------------------------------------------------------


def describe_runs(lineage: Lineage) -> Iterator[dict[str, Any]]:
    """Yield a START and a COMPLETE event for each run, parents before children."""
    for story in lineage.stories():
        if story.listed and story.started is not None and story.ended is not None:
            yield _event("START", story.started.isoformat(), story, lineage)
            yield _event("COMPLETE", story.ended.isoformat(), story, lineage)


def _event(kind: str, time: str, story: ArtifactStory, lineage: Lineage) -> dict[str, Any]:
    producer = f"urn:tectum:{story.environment.get('tectum', '')}"

    def facet(schema: str, **values: Any) -> dict[str, Any]:
        return {"_producer": producer, "_schemaURL": schema, **values}

    inputs = sorted(lineage.graph.predecessors(story.ref), key=str)
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": producer,
        "schemaURL": RUN_EVENT,
        "run": {
            "runId": str(uuid.UUID(story.run_id)),
            "facets": {
                "processing_engine": facet(
                    f"{FACETS}/1-1-1/ProcessingEngineRunFacet.json",
                    name="tectum",
                    version=str(story.environment.get("tectum", "")),
                ),
                "tectum_run": facet(
                    "urn:tectum:facet:run:1",
                    settings=story.settings,
                    facts=story.facts,
                    fingerprint=story.fingerprint,
                    flowRun=story.flow_run,
                ),
            },
        },
        "job": {"namespace": NAMESPACE, "name": story.stage},
        "inputs": [_dataset(lineage.story(parent), facet) for parent in inputs],
        "outputs": [_dataset(story, facet)],
    }


def _dataset(story: ArtifactStory, facet: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    version = facet(f"{FACETS}/1-0-1/DatasetVersionDatasetFacet.json", datasetVersion=story.digest)
    return {
        "namespace": NAMESPACE,
        "name": f"{story.ref.kind}/{story.ref.id}",
        "facets": {"version": version},
    }
