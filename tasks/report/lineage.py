"""Lineage: what every result was made from, down to the bytes of the recording."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml
from markupsafe import Markup

from schemas.entities import Artifact
from tasks.report.elements import (
    Block,
    Cell,
    Section,
    code,
    details,
    facts,
    format_bytes,
    format_seconds,
    format_time,
    heading,
    listing,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence

TITLE, SLUG = "Lineage", "lineage"
QUESTION = "What was each result made from, by which code, with which settings?"
TELLING = (
    "numpy", "scipy", "xarray", "zarr", "dask", "pynwb", "hdmf", "h5py", "numba", "torch",
    "scikit-learn", "prefect", "plotly",
)  # fmt: skip


def write_lineage(evidence: Evidence) -> Section:
    """Return the picture and table of artifacts, the raw files, settings, splits and packages."""
    if not evidence.artifacts:
        return Section(SLUG, TITLE, QUESTION, (note("There is no artifact."),), empty=True)
    blocks: list[Block] = [
        *_raw_files(evidence.recording),
        heading("Artifacts"),
        artifact_table(evidence),
        paragraph(
            "An id is the hash of the kind, the code, the settings and the ids of what it was made "
            "from: the same id is the same result. Hover over an id to see all of it."
        ),
        heading("Settings"),
        *(_settings(evidence, artifact) for artifact in evidence.artifacts),
        heading("Facts recorded on the way"),
        *_facts(evidence),
        heading("Software"),
        *_environments(evidence),
    ]
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _raw_files(recording: Mapping[str, Any]) -> list[Markup]:
    """Return the names, sizes and hashes of the recording's files."""
    if not recording:
        return []
    files = [
        {
            "path": recording.get("path", ""),
            "sha256": recording.get("byte_sha256", ""),
            "bytes": recording.get("bytes", 0),
        },
        *recording.get("sidecars", ()),
    ]
    # The name only: the folder tells about one machine and nothing about the recording.
    rows: list[list[Cell]] = [
        [
            PurePosixPath(str(f["path"])).name,
            format_bytes(float(f["bytes"])),
            code(str(f["sha256"])[:16], str(f["sha256"])),
        ]
        for f in files
    ]
    logical = str(recording.get("logical_sha256", ""))
    return [
        heading("Raw files"),
        table(["file", "size", "SHA-256 of the bytes"], rows),
        facts(
            [
                ("NWB version", str(recording.get("nwb_version", ""))),
                ("SHA-256 of the content", code(logical[:16], logical) if logical else ""),
            ]
        ),
    ]


def artifact_table(evidence: Evidence) -> Markup:
    """Return one row an artifact, what it was made from above it."""
    columns = ["kind", "id", "made from", "settings", "code", "made at", "took", "size", "result"]
    return table(columns, [_artifact_row(evidence, artifact) for artifact in evidence.artifacts])


def _artifact_row(evidence: Evidence, artifact: Artifact) -> list[Cell]:
    run = evidence.runs.get(artifact.ref.id, {})
    ended = run.get("ended")
    took = format_seconds((ended - run["started"]).total_seconds()) if ended else ""
    parents = Markup(" ").join(code(str(p)[: len(p.kind) + 7], str(p)) for p in artifact.parents)
    return [
        Markup("<strong>{}</strong>").format(artifact.ref.kind),
        code(artifact.ref.id[:12], artifact.ref.id),
        parents or None,
        code(artifact.param_hash[:8], artifact.param_hash),
        code(artifact.fingerprint[:8], artifact.fingerprint),
        format_time(artifact.created),
        took,
        Markup('<span title="{} bytes">{}</span>').format(
            f"{artifact.bytes:,}", format_bytes(artifact.bytes)
        ),
        artifact.key_figure,
    ]


def _settings(evidence: Evidence, artifact: Artifact) -> Markup:
    param_set = evidence.param_sets.get(artifact.ref.id)
    if param_set is None:
        return Markup("")
    title = f"{artifact.ref.kind}: settings {artifact.param_hash[:8]}"
    return details(title, listing(as_yaml(param_set.values)))


def _facts(evidence: Evidence) -> list[Markup]:
    """Return what stages noted: seeds, splits, sample ranges."""
    blocks = [
        details(f"{artifact.ref.kind}: {', '.join(sorted(noted))}", listing(as_yaml(noted)))
        for artifact in evidence.artifacts
        if (noted := dict(evidence.facts.get(artifact.ref.id, {})))
    ]
    return blocks or [paragraph("None.")]


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as readable YAML."""
    return yaml.safe_dump(dict(values), sort_keys=True, allow_unicode=True, width=100)


def _environments(evidence: Evidence) -> list[Markup]:
    """Return machine and packages once for each set of them, with what was made there."""
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for artifact in evidence.artifacts:
        run = evidence.runs.get(artifact.ref.id)
        if run is not None:
            entry = found.setdefault(run["environment_hash"], (run["environment"], []))
            entry[1].append(artifact.ref.kind)
    blocks: list[Markup] = []
    for environment, kinds in found.values():
        packages = {name.lower(): version for name, version in environment["packages"].items()}
        blocks.append(
            facts(
                [
                    ("made", ", ".join(kinds)),
                    ("tectum", str(environment.get("tectum", ""))),
                    ("Python", str(environment.get("python", ""))),
                    ("platform", str(environment.get("platform", ""))),
                    *((name, packages.get(name, "")) for name in TELLING),
                ]
            )
        )
        rows: list[list[Cell]] = [[name, version] for name, version in sorted(packages.items())]
        listed = table(["package", "version"], rows, most=2_000)
        blocks.append(details(f"All {len(rows)} packages", listed))
    return blocks
