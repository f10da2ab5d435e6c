"""Lineage: what every result was made from, down to the bytes of the recording."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml
from markupsafe import Markup

from tasks.common.lineage import ArtifactStory, Lineage
from tasks.common.lineage_picture import draw_lineage
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
from tasks.report.evidence import Evidence, sources

TITLE, SLUG = "Lineage", "lineage"
QUESTION = "What was each result made from, by which code, with which settings?"
TELLING = (
    "numpy", "scipy", "xarray", "zarr", "dask", "pynwb", "hdmf", "h5py", "numba", "torch",
    "scikit-learn", "prefect", "plotly",
)  # fmt: skip


def write_lineage(evidence: Evidence) -> Section:
    """Return the picture and table of artifacts, the raw files, settings, splits and packages."""
    if evidence.lineage is None or not evidence.stories:
        return Section(SLUG, TITLE, QUESTION, (note("There is no artifact."),), empty=True)
    stories = evidence.stories
    blocks: list[Block] = [
        show_picture(evidence.lineage),
        *_raw_files(evidence.recording),
        heading("Artifacts"),
        artifact_table(evidence.lineage),
        paragraph(
            "An id is the hash of the kind, the code, the settings and the ids of what it was made "
            "from: the same id is the same result. Hover over an id to see all of it."
        ),
        heading("Settings"),
        *map(_settings, stories),
        heading("Facts recorded on the way"),
        *_facts(stories),
        heading("Software"),
        *_environments(stories),
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
    rows = [_file_row(file) for file in files]
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


def _file_row(file: Mapping[str, Any]) -> list[Cell]:
    """Return a file's name, size and hash; one that was absent has neither."""
    # The name only: the folder tells about one machine and nothing about the recording.
    name = PurePosixPath(str(file["path"])).name
    size, sha256 = file.get("bytes"), file.get("sha256")
    if size is None or not sha256:
        return [name, None, "was not there"]
    return [name, format_bytes(float(size)), code(str(sha256)[:16], str(sha256))]


def show_picture(lineage: Lineage) -> Markup:
    """Return the lineage as a drawing; as an image its styles stay apart from the page's.

    The page is made from everything: of its own arrows only those that no other path implies are
    drawn.
    """
    plain = lineage.graph.copy()
    for parent in lineage.graph.predecessors(lineage.target):
        # Whatever lies between leads to the page: the graph holds nothing else.
        if len(list(lineage.graph.successors(parent))) > 1:
            plain.remove_edge(parent, lineage.target)
    return Markup('<p class="picture"><img alt="{}" src="{}"></p>').format(
        "What each artifact was made from", draw_lineage(Lineage(lineage.target, plain)).data_uri
    )


def artifact_table(lineage: Lineage) -> Markup:
    """Return one row an artifact, what it was made from above it."""
    columns = ["kind", "id", "made from", "settings", "code", "made at", "took", "size", "result"]
    return table(columns, [_artifact_row(lineage, story) for story in sources(lineage)])


def _artifact_row(lineage: Lineage, story: ArtifactStory) -> list[Cell]:
    parents = Markup(" ").join(
        code(f"{ref.kind}/{ref.id[:6]}", f"{ref.kind}/{ref.id}")
        for ref in sorted(lineage.graph.predecessors(story.ref), key=str)
    )
    return [
        Markup("<strong>{}</strong>").format(story.ref.kind),
        code(story.ref.id[:12], story.ref.id),
        parents or None,
        code(story.param_hash[:8], story.param_hash),
        code(story.fingerprint[:8], story.fingerprint),
        format_time(story.created),
        format_seconds(story.seconds) if story.seconds is not None else "",
        Markup('<span title="{} bytes">{}</span>').format(
            f"{story.bytes:,}", format_bytes(story.bytes)
        ),
        story.key_figure if story.listed else "no longer in the catalogue",
    ]


def _settings(story: ArtifactStory) -> Markup:
    if not story.settings:
        return Markup("")
    title = f"{story.ref.kind}: settings {story.param_hash[:8]}"
    return details(title, listing(as_yaml(story.settings)))


def _facts(stories: Sequence[ArtifactStory]) -> list[Markup]:
    """Return what stages noted: seeds, splits, sample ranges."""
    blocks = [
        details(
            f"{story.ref.kind}: {', '.join(sorted(story.facts))}", listing(as_yaml(story.facts))
        )
        for story in stories
        if story.facts
    ]
    return blocks or [paragraph("None.")]


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as readable YAML."""
    return yaml.safe_dump(dict(values), sort_keys=True, allow_unicode=True, width=100)


def _environments(stories: Sequence[ArtifactStory]) -> list[Markup]:
    """Return machine and packages once for each set of them, with what was made there."""
    found: dict[str, list[ArtifactStory]] = {}
    for story in stories:
        if story.environment:
            found.setdefault(story.environment_hash, []).append(story)
    return [block for made in found.values() for block in _environment(made)]


def _environment(made: list[ArtifactStory]) -> list[Markup]:
    environment = made[0].environment
    packages = {name.lower(): str(version) for name, version in environment["packages"].items()}
    told: list[tuple[str, Cell]] = [
        ("made", ", ".join(story.ref.kind for story in made)),
        *((name, str(environment.get(name, ""))) for name in ("tectum", "python", "platform")),
        *((name, packages.get(name, "")) for name in TELLING),
    ]
    rows: list[list[Cell]] = [[name, version] for name, version in sorted(packages.items())]
    listed = table(["package", "version"], rows, most=2_000)
    return [facts(told), details(f"All {len(rows)} packages", listed)]
